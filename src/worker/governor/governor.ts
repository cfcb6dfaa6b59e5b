/**
 * The part of a worker that says admit, defer or reject before a claim (law 1), and that keeps measuring what runs
 * (law 2). It reads capacity and load, keeps the ledger, and ends one job when memory gets short.
 *
 * States: `open` ⇄ `paused` → `draining`. Whatever the state, running jobs are measured until they are released.
 * Readings: every 20 to 100 ms while jobs run (the fuller, the faster), every 250 ms while queues only wait, each second
 * when idle; and before a decision when the last one is older than `FRESH_MS` or a job has just given its memory back.
 */
import { messageOf } from "../../contract/errors.ts";
import type { Amounts } from "../../contract/resources.ts";
import type { RunningJob, WaitingQueue } from "../../contract/status.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Service } from "../../platform/lifecycle.ts";
import type { Logger } from "../../platform/logger.ts";
import { decideAdmission, fitToCores, type Admission } from "./admission.ts";
import type { AdmissionView, Request } from "./admission-view.ts";
import type { CapacityReading, CapacitySensor, Degraded } from "./capacity.ts";
import type { Eviction, EvictionReason } from "./enforcement.ts";
import { Enforcer } from "./enforcer.ts";
import { GateKeeper } from "./gate-keeper.ts";
import { checkGovernorConfig, DEFAULT_MEMORY_THRESHOLD, type GovernorConfig } from "./governor-config.ts";
import { capacityOf, createView, headroomOf, observedOf, readingPauseMs } from "./governor-view.ts";
import type { ProcessTrees } from "./probes/process-trees.ts";
import { Reservations, type Usage } from "./reservations.ts";
import { estimateWaitMs, WaitingReasons, type Wait } from "./waiting.ts";

/** Where the governor counts. */
export interface GovernorMetrics {
  /** One claim admitted, or one queue that begins to wait for this reason. */
  decided(decision: Admission["kind"], reason: string): void;
  evicted(reason: EvictionReason): void;
}

export interface GovernorDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sensor: CapacitySensor;
  readonly processes: ProcessTrees;
  readonly metrics: GovernorMetrics;
  /** Ends a job now. Its ticket is released once its processes are gone; until then no other job is chosen. */
  readonly evict: (eviction: Eviction) => void;
}

/** Room for one job. `release` may be called again; `bind` names the job that was claimed for it. */
export interface GovernorTicket {
  readonly kind: "admit";
  readonly reserved: Amounts;
  bind(jobId: string, runId: string): void;
  release(): void;
}

/** What is asked for one job of a queue. `processes: 0` in the need: it runs inside the worker. */
export interface ReserveQuestion {
  readonly queue: string;
  readonly need: Amounts;
  readonly labels: readonly string[];
}

export interface GovernorSnapshot {
  readonly state: AdmissionView["state"];
  readonly capacity: Amounts;
  readonly reserved: Amounts;
  readonly observed: Amounts;
  readonly headroom: Amounts;
  readonly running: readonly RunningJob[];
  readonly waiting: readonly WaitingQueue[];
  /** Sensors that do not give what they should. */
  readonly degraded: readonly Degraded[];
}

const FRESH_MS = 20;
const STALE_AFTER_RELEASE_MS = 2;
/** Longer than the sensor waits between two readings of the CPUs. */
const WARM_UP_MS = 300;

export class Governor implements Service {
  readonly #deps: GovernorDeps;
  readonly #config: GovernorConfig;
  readonly #labels: ReadonlySet<string>;
  readonly #ledger = new Reservations({ memoryBytes: 0, cpuCores: 0, processes: 0 });
  readonly #waiting = new WaitingReasons();
  readonly #gates: GateKeeper;
  readonly #enforcer: Enforcer;
  readonly #listeners = new Set<() => void>();
  #state: AdmissionView["state"] = "open";
  #isSolitary = false;
  #reading: CapacityReading | undefined;
  #staleAfterMs = FRESH_MS;
  #degraded = "";
  #timer: NodeJS.Timeout | undefined;
  #tickDueMs = 0;
  #isStarted = false;

  /** @throws {InvalidInputError} for a setting out of its range */
  constructor(deps: GovernorDeps, config: GovernorConfig) {
    this.#deps = deps;
    this.#config = checkGovernorConfig(config);
    this.#labels = new Set(config.labels);
    this.#gates = new GateKeeper(this.#config.cpuThreshold);
    this.#enforcer = new Enforcer({
      logger: deps.logger,
      evict: (eviction) => {
        deps.metrics.evicted(eviction.reason);
        deps.evict(eviction);
      },
      onGone: (nowMs) => {
        this.#gates.evicted(nowMs);
      },
    });
  }

  async start(): Promise<void> {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#read();
    if (this.#config.cpuThreshold !== undefined) {
      // Load is a difference of two readings: without a first one the gate would let everything in.
      await this.#deps.clock.sleep(WARM_UP_MS);
      this.#read();
    }
    this.#schedule();
  }

  stop(): Promise<void> {
    this.#isStarted = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#deps.sensor.close();
    this.#deps.processes.close();
    return Promise.resolve();
  }

  /** Reserves room for one job of a queue, or says why not and remembers it. Never waits. */
  tryReserve(question: ReserveQuestion): GovernorTicket | Wait {
    const reading = this.#fresh();
    const request = this.#requestOf(question, reading);
    const answer = decideAdmission(request, this.#view(reading));
    if (answer.kind !== "admit") return this.#wait(question.queue, answer, request);
    const nowMs = this.#deps.clock.nowMs();
    const reserved = this.#ledger.reserve(request.need, { queue: question.queue, isInside: request.isInside, nowMs });
    if (reserved.kind === "refused") {
      // The rules have let pass what the books do not hold: the books are right, and the rules need mending.
      const { lacking, need, have } = reserved;
      const message = `the ledger has no room for ${need} of ${lacking}, ${have} is left`;
      const code = lacking === "memoryBytes" ? "MEM_NOW" : lacking === "cpuCores" ? "CPU" : "PROCESSES";
      return this.#wait(
        question.queue,
        { kind: "defer", code, lacking, message, need, have, retryAfterMs: 250 },
        request,
      );
    }
    this.#waiting.clear(question.queue);
    return this.#ticket(reserved.reservation.id, request);
  }

  /** What `tryReserve` would answer now; reserves, remembers and counts nothing. */
  check(question: ReserveQuestion): Admission {
    const reading = this.#fresh();
    return decideAdmission(this.#requestOf(question, reading), this.#view(reading));
  }

  /** From now on the process and its descendants are measured as the job's. */
  attach(jobId: string, pid: number): void {
    this.#ledger.beginProcess(jobId, this.#deps.clock.nowMs());
    this.#deps.processes.watch(jobId, pid);
  }

  /** The process has ended. */
  detach(jobId: string, pid: number): void {
    this.#deps.processes.unwatch(jobId, pid);
  }

  /** Takes a measurement that somebody else made of a job. */
  usage(jobId: string, usage: Usage): void {
    this.#ledger.observe(jobId, usage);
  }

  /** Notes how long a job probably takes from now on, or that it must not be ended to make room. */
  describe(jobId: string, facts: { remainingMs?: number; isRetriable?: boolean }): void {
    const { remainingMs, isRetriable } = facts;
    this.#ledger.describe(jobId, {
      ...(remainingMs !== undefined && { endsAtMs: this.#deps.clock.nowMs() + remainingMs }),
      ...(isRetriable !== undefined && { isRetriable }),
    });
  }

  /** Calls back whenever something that waits may be let in now. Returns what ends that. */
  onRoom(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** From now on nothing is admitted; not taken back. */
  setDraining(): void {
    this.#state = "draining";
  }

  setPaused(isPaused: boolean): void {
    if (this.#state === "draining") return;
    this.#state = isPaused ? "paused" : "open";
    if (!isPaused) this.#announceRoom();
  }

  /** While it is solitary no job with processes is admitted. */
  setSolitary(isSolitary: boolean): void {
    this.#isSolitary = isSolitary;
    if (!isSolitary) this.#announceRoom();
  }

  /** What a heartbeat, the metrics and `explain` tell of this worker. */
  snapshot(): GovernorSnapshot {
    const reading = this.#fresh();
    const view = this.#view(reading);
    const nowMs = this.#deps.clock.nowMs();
    const jobs = this.#ledger.all;
    const capacity = capacityOf(view, reading);
    const observed = observedOf(reading, this.#ledger.reserved().processes);
    return {
      state: this.#state,
      capacity,
      reserved: this.#ledger.reserved(),
      observed,
      headroom: headroomOf(view, observed, this.#ledger.committed(false)),
      running: jobs.flatMap(({ jobId, runId, sinceMs, need, usage }) =>
        jobId === undefined
          ? []
          : [{ jobId, runId: runId ?? "", sinceMs, reserved: need, rssBytes: usage?.rssBytes ?? null }],
      ),
      waiting: this.#waiting.list((request) => estimateWaitMs(request, view, jobs, nowMs)),
      degraded: reading.degraded,
    };
  }

  #ticket(id: number, request: Request): GovernorTicket {
    this.#schedule();
    return {
      kind: "admit",
      reserved: request.need,
      bind: (jobId, runId) => {
        this.#ledger.bind(id, { jobId, runId, nowMs: this.#deps.clock.nowMs() });
        this.#gates.admitted();
        this.#deps.metrics.decided("admit", "");
      },
      release: () => {
        this.#release(id);
      },
    };
  }

  #release(id: number): void {
    const released = this.#ledger.release(id);
    // A promise that no job was found for has changed nothing that anybody could wait for.
    if (released?.jobId === undefined) return;
    this.#deps.processes.unwatch(released.jobId);
    this.#staleAfterMs = STALE_AFTER_RELEASE_MS;
    this.#announceRoom();
  }

  #requestOf({ need, labels }: ReserveQuestion, reading: CapacityReading): Request {
    const isInside = need.processes === 0;
    const cores = reading.cpuCores;
    return { need: isInside ? need : fitToCores(need, cores, this.#maxProcesses(reading)), labels, isInside };
  }

  #wait(queue: string, wait: Wait, request: Request | undefined): Wait {
    const facts = { nowMs: this.#deps.clock.nowMs(), ...(request !== undefined && { request }) };
    if (this.#waiting.note(queue, wait, facts)) this.#deps.metrics.decided(wait.kind, wait.code);
    this.#schedule();
    return wait;
  }

  /** The last reading, or a new one when that is too old to decide on. */
  #fresh(): CapacityReading {
    const reading = this.#reading;
    const ageMs = reading === undefined ? Infinity : this.#deps.clock.monotonicMs() - reading.atMs;
    return reading === undefined || ageMs >= this.#staleAfterMs ? this.#read() : reading;
  }

  #read(): CapacityReading {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#staleAfterMs = FRESH_MS;
    const reading = this.#deps.sensor.read(nowMs, () => this.#readOwnCpuMs());
    this.#reading = reading;
    const cores = reading.cpuCores;
    const maxProcesses = this.#maxProcesses(reading);
    // Memory is guarded by the rules against every level; the books hold it to the smallest limit as a whole.
    this.#ledger.setLimit({ memoryBytes: reading.memoryBytes, cpuCores: cores, processes: maxProcesses });
    this.#gates.update(reading, { processes: this.#ledger.reserved(false).processes, maxProcesses });
    this.#tellDegraded(reading);
    return reading;
  }

  #readJobs(): void {
    const atMs = this.#deps.clock.monotonicMs();
    for (const { jobId, rssBytes, cpuMs } of this.#deps.processes.read(atMs)) {
      this.#ledger.observe(jobId, { rssBytes, cpuMs, atMs });
    }
  }

  /** CPU time of this worker and its jobs. Walking all processes is dear: done only where a threshold asks for it. */
  #readOwnCpuMs(): number {
    return this.#config.cpuThreshold === undefined ? 0 : this.#deps.processes.readOwnCpuMs();
  }

  #view(reading: CapacityReading): AdmissionView {
    const nowMs = this.#deps.clock.monotonicMs();
    return createView({
      state: this.#state,
      isSolitary: this.#isSolitary,
      labels: this.#labels,
      config: this.#config,
      reading,
      jobs: this.#ledger.all,
      maxProcesses: this.#maxProcesses(reading),
      gates: this.#gates.state(reading, nowMs, this.#ledger.reserved(false).processes),
    });
  }

  #maxProcesses(reading: CapacityReading): number {
    return this.#config.maxProcesses ?? Math.max(1, Math.ceil(reading.cpuCores));
  }

  /** Sees that the next tick comes in time. A tick that is due sooner is left alone: it must not be put off for ever. */
  #schedule(): void {
    if (!this.#isStarted) return;
    const pauseMs = readingPauseMs(this.#reading, this.#ledger.size, this.#waiting.size);
    const dueAtMs = this.#deps.clock.monotonicMs() + pauseMs;
    if (this.#timer !== undefined && this.#tickDueMs <= dueAtMs) return;
    clearTimeout(this.#timer);
    this.#tickDueMs = dueAtMs;
    this.#timer = setTimeout(() => {
      this.#tick();
    }, pauseMs);
    this.#timer.unref();
  }

  #tick(): void {
    this.#timer = undefined;
    try {
      this.#readJobs();
      const reading = this.#read();
      this.#enforce(reading);
      const view = this.#view(reading);
      const hasRoom = this.#waiting.requests.some((request) => decideAdmission(request, view).kind === "admit");
      if (hasRoom) this.#announceRoom();
    } catch (error) {
      // One tick that fails must not end all that follow; each probe already answers for itself.
      this.#deps.logger.error({ err: error, reason: messageOf(error) }, "governor could not take a reading");
    }
    this.#schedule();
  }

  #enforce({ memory, pressure, atMs }: CapacityReading): void {
    const { memoryThreshold = DEFAULT_MEMORY_THRESHOLD, systemReserveBytes = 0 } = this.#config;
    this.#enforcer.enforce({ memory, pressure, memoryThreshold, systemReserveBytes }, this.#ledger.all, atMs);
  }

  #announceRoom(): void {
    for (const listener of this.#listeners) listener();
  }

  #tellDegraded({ degraded }: CapacityReading): void {
    const text = degraded.map(({ sensor, message }) => `${sensor}: ${message}`).join("; ");
    if (text === this.#degraded) return;
    this.#degraded = text;
    if (text === "") this.#deps.logger.info({}, "all sensors read again");
    else this.#deps.logger.warn({ code: "NO_SENSOR", sensors: text }, "a sensor cannot be read");
  }
}
