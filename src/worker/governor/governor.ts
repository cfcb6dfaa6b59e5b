/**
 * The part of a worker that says admit, defer or reject before a claim (law 1), and that keeps measuring what runs
 * (law 2). It reads capacity and load, keeps the ledger, and ends one job when memory gets short.
 *
 * States: `open` ⇄ `paused`, and `draining` over either while it lasts. Whatever the state, running jobs are measured until they are released.
 * Readings: every 20 to 100 ms while jobs run (the fuller, the faster), every 250 ms while queues only wait, each second
 * when idle; and before a decision when the last one is older than `FRESH_MS` or a job has just given its memory back.
 */
import { messageOf } from "../../contract/errors.ts";
import type { Service } from "../../platform/lifecycle.ts";
import { decideAdmission, decideCrossing, type Admission } from "./admission.ts";
import type { AdmissionView, Gates, Request } from "./admission-view.ts";
import type { CapacityReading } from "./capacity.ts";
import { DueTimer } from "./due-timer.ts";
import { Enforcer } from "./enforcer.ts";
import { GateKeeper } from "./gate-keeper.ts";
import { checkGovernorConfig, type GovernorConfig } from "./governor-config.ts";
import { chooseGpu } from "./gpu-tokens.ts";
import { GpuMeter } from "./gpu-meter.ts";
import type { GovernorDeps, GovernorSnapshot, GovernorTicket, JobFacts, ReserveQuestion } from "./governor-port.ts";
import { createView, figuresOf, maxProcessesOf, readingPauseMs, runningJobOf } from "./governor-view.ts";
import { LongWaits } from "./long-waits.ts";
import { aloneLedger } from "./machine-ledger.ts";
import { Neighbourhood } from "./neighbourhood.ts";
import { sharedLevels, withOwnLevel } from "./own-level.ts";
import type { MeteredGroup } from "./probes/job-group.ts";
import { Reservations, type Usage } from "./reservations.ts";
import { createRequest } from "./request.ts";
import { SelfTuning } from "./self-tuning.ts";
import { SensorFaults } from "./sensor-faults.ts";
import { estimateWaitMs, WaitingReasons, type Refusal, type Wait } from "./waiting.ts";

const FRESH_MS = 20;
const STALE_AFTER_RELEASE_MS = 2;
/** Longer than the sensor waits between two readings of the CPUs. */
const WARM_UP_MS = 300;

/** What keeps jobs out whatever room there is. */
interface Holds {
  isPaused: boolean;
  isDraining: boolean;
  isSolitary: boolean;
}

export class Governor implements Service {
  readonly #deps: GovernorDeps;
  #config: GovernorConfig;
  readonly #labels: ReadonlySet<string>;
  readonly #ledger = new Reservations();
  /** What jobs have of the cards. */
  readonly gpus = new GpuMeter(this.#ledger);
  readonly #waiting = new WaitingReasons();
  readonly #longWaits: LongWaits;
  readonly #neighbourhood: Neighbourhood;
  readonly #tuning: SelfTuning;
  readonly #gates: GateKeeper;
  readonly #enforcer: Enforcer;
  readonly #ticks: DueTimer;
  readonly #faults: SensorFaults;
  readonly #listeners = new Set<() => void>();
  readonly #holds: Holds = { isPaused: false, isDraining: false, isSolitary: false };
  #reading: CapacityReading | undefined;
  #staleAfterMs = FRESH_MS;
  #isStarted = false;

  /** @throws {InvalidInputError} for a setting out of its range */
  constructor(deps: GovernorDeps, config: GovernorConfig) {
    this.#deps = deps;
    this.#config = checkGovernorConfig(config);
    this.#labels = new Set(config.labels);
    this.#neighbourhood = new Neighbourhood(deps.shared ?? aloneLedger);
    this.#faults = new SensorFaults(deps.logger);
    this.#longWaits = deps.longWaits ?? new LongWaits();
    this.#tuning = new SelfTuning(deps.classLimits);
    this.#ticks = new DueTimer(
      () => deps.clock.monotonicMs(),
      () => {
        this.tick();
      },
    );
    this.#gates = new GateKeeper(this.#config.cpuThreshold, this.#config.machine);
    this.#enforcer = new Enforcer({
      ...{ ...deps, ledger: this.#ledger },
      onEnd: this.#tuning.noteKill,
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
    this.#ticks.clear();
    this.#deps.sensor.close();
    this.#deps.processes.close();
    this.#neighbourhood.close();
    return Promise.resolve();
  }

  /** Reserves room for one job of a queue, or says why not and remembers it. Never waits. */
  tryReserve(question: ReserveQuestion): GovernorTicket | Wait {
    const reading = this.#fresh();
    const request = this.#requestOf(question, reading);
    const view = this.#view(reading);
    const answer = decideAdmission(request, view);
    if (answer.kind !== "admit") return this.#wait(question.queue, answer, request);
    const card = chooseGpu(request.gpu, view.gpus, request);
    const promised = this.gpus.promise(request.gpu, card, reading);
    const who = { ...request, ...promised, queue: question.queue, nowMs: this.#nowMs };
    const { id } = this.#ledger.reserve(request.need, who);
    this.#publish();
    const crossed = decideCrossing(request, { ...view, neighbours: this.#neighbourhood.others }, card);
    if (crossed !== undefined) {
      this.#ledger.release(id);
      this.#publish();
      return this.#wait(question.queue, crossed, request);
    }
    this.#waiting.clear(question.queue, this.#nowMs);
    if (question.isBehind !== true) this.#longWaits.admitted(question.queue);
    return this.#ticket(id, request);
  }

  /** What `tryReserve` would answer now; reserves, remembers and counts nothing. */
  check(question: ReserveQuestion): Admission {
    const reading = this.#fresh();
    return decideAdmission(this.#requestOf(question, reading), this.#view(reading));
  }

  /** From now on the process and its descendants are measured as the job's: by their control group, where they have one. */
  attach(jobId: string, pid: number, group?: MeteredGroup): void {
    this.#ledger.beginProcess(jobId, pid, this.#nowMs);
    this.#deps.processes.watch(jobId, pid, group);
  }

  /** The process has ended. */
  detach(jobId: string, pid: number): void {
    this.#deps.processes.unwatch(jobId, pid);
  }

  /** A job writes below this folder: the room there counts from now on. */
  useVolume(path: string): void {
    this.#deps.sensor.useVolume(path);
  }

  /** Takes a measurement that somebody else made of a job. */
  usage(jobId: string, usage: Usage): void {
    this.#ledger.observe(jobId, usage);
  }

  /** A process of a job has ended well: how much work that was, next to a usual one, and its CPU time. */
  worked(jobId: string, done: { readonly work: number; readonly cpuMs: number }): void {
    this.#ledger.worked(jobId, done);
  }

  /** The kernel has ended a process of a job for lack of memory. */
  killed(jobId: string): void {
    if (this.#ledger.ofJob(jobId) !== undefined) this.#tuning.noteKill(jobId, "kernel-kill");
  }

  /** Notes what is known of a job. */
  describe(jobId: string, { remainingMs, ...facts }: JobFacts): void {
    const queue = this.#ledger.ofJob(jobId)?.queue;
    const { expectation } = facts;
    if (queue !== undefined && expectation !== undefined) this.#tuning.noteExpectation(queue, expectation, remainingMs);
    const ends = remainingMs !== undefined && { endsAtMs: this.#nowMs + remainingMs };
    this.#ledger.describe(jobId, { ...facts, ...ends });
  }

  /** Calls back whenever something that waits may be let in now. Returns what ends that. */
  onRoom(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells which of the waiting queues hold a job: a wait for room is one only there. */
  noteBacklog(queues: ReadonlySet<string>): void {
    this.#neighbourhood.noteBacklog(queues);
    this.#longWaits.note(queues, this.#waiting.queuesWithoutRoom, this.#nowMs);
  }

  /** Paused or draining it admits nothing; solitary, no job with processes. What is not named stays as it was. */
  hold(change: Partial<Holds>): void {
    Object.assign(this.#holds, change);
    if (this.#state === "open" && !this.#holds.isSolitary) this.#announceRoom();
  }

  get #state(): AdmissionView["state"] {
    return this.#holds.isDraining ? "draining" : this.#holds.isPaused ? "paused" : "open";
  }

  /** Limits other than before, while jobs run: what runs goes on. @throws {InvalidInputError} for a setting out of its range */
  configure(config: Omit<GovernorConfig, "labels">): void {
    this.#config = checkGovernorConfig({ ...config, labels: this.#config.labels });
    this.#gates.configure(this.#config.cpuThreshold, this.#config.machine);
    if (this.#isStarted) this.#read();
    this.#announceRoom();
  }

  /** Why this queue waited for room the last time; undefined when it never did. */
  readonly lastRefusal = (queue: string): Refusal | undefined => this.#waiting.lastOf(queue, this.#told);

  /** By the clock that never goes back: all is counted by it here. */
  get #nowMs(): number {
    return this.#deps.clock.monotonicMs();
  }

  /** Such a moment as the clock of people shows it now. */
  readonly #told = (atMs: number): number => Math.ceil(atMs + this.#deps.clock.nowMs() - this.#nowMs);

  /** What a heartbeat, the metrics and `explain` tell of this worker. */
  snapshot(): GovernorSnapshot {
    const reading = this.#fresh();
    const view = this.#view(reading);
    const jobs = this.#ledger.all;
    return {
      state: this.#state,
      ...figuresOf(view, reading, { ledger: this.#ledger, workerBytes: process.memoryUsage.rss() }),
      running: jobs.flatMap((job) => runningJobOf(job, this.#told) ?? []),
      waiting: this.#waiting.list((request) => estimateWaitMs(request, view, jobs), this.#told),
      refusingMs: this.#waiting.refusingMs(view.nowMs),
      offers: this.#longWaits.offers(view, this.#waiting, jobs),
      degraded: reading.degraded,
    };
  }

  #ticket(id: number, request: Request): GovernorTicket {
    this.#schedule();
    return {
      kind: "admit",
      reserved: request.need,
      bind: (jobId, runId) => {
        this.#ledger.bind(id, { jobId, runId, nowMs: this.#nowMs });
        this.#gates.admitted();
        this.#waiting.admitted(this.#nowMs);
        this.#deps.metrics.decided("admit", "");
      },
      release: () => {
        this.#release(id);
      },
    };
  }

  #release(id: number): void {
    const released = this.#ledger.release(id);
    if (released?.jobId === undefined) {
      // A promise that no job was found for has changed nothing that anybody could wait for, but that nobody took its card.
      if (released?.card !== undefined) this.#publish();
      return;
    }
    this.#deps.processes.unwatch(released.jobId);
    this.#tuning.noteEnd(released, this.#nowMs);
    this.gpus.released(released, this.#nowMs);
    this.#publish();
    this.#staleAfterMs = STALE_AFTER_RELEASE_MS;
    this.#announceRoom();
  }

  #requestOf({ need, expected, ...about }: ReserveQuestion, { cpuCores }: CapacityReading): Request {
    const facts = { ...about, kind: expected?.kind, cpuCores, maxProcesses: this.#config.maxProcesses };
    return createRequest(need, expected ?? this.#tuning.ofQueue(about.queue), facts);
  }

  #wait(queue: string, wait: Wait, request: Request): Wait {
    const isNew = this.#waiting.note(queue, wait, { nowMs: this.#nowMs, request });
    if (isNew) this.#deps.metrics.decided(wait.kind, wait.code);
    this.#schedule();
    return wait;
  }

  /** The last reading, or a new one when that is too old to decide on. */
  #fresh(): CapacityReading {
    const reading = this.#reading;
    if (reading !== undefined && this.#nowMs - reading.atMs < this.#staleAfterMs) return reading;
    // The timer reads the CPUs and the rest; a claim reads them only where a threshold asks for it.
    return this.#read(reading !== undefined && this.#config.cpuThreshold === undefined);
  }

  #read(isForClaim = false): CapacityReading {
    this.#staleAfterMs = FRESH_MS;
    const measured = this.#deps.sensor.read(this.#nowMs, () => this.#readOwnCpuMs(), isForClaim);
    const reading = withOwnLevel(measured, this.#config.memoryMaxBytes, this.#ledger.all);
    this.#reading = reading;
    const processes = this.#ledger.reserved(false).processes;
    this.#gates.update(reading, { processes, maxProcesses: maxProcessesOf(this.#config, reading) });
    this.#faults.tell(reading.degraded);
    return reading;
  }

  #readJobs(): void {
    const atMs = this.#nowMs;
    for (const { jobId, ...used } of this.#deps.processes.read(atMs)) this.#ledger.observe(jobId, { ...used, atMs });
  }

  /** CPU time of this worker and its jobs. Walking all processes is dear: done only where a threshold asks for it. */
  #readOwnCpuMs(): number {
    return this.#config.cpuThreshold === undefined ? 0 : this.#deps.processes.readOwnCpuMs();
  }

  #view(reading: CapacityReading): AdmissionView {
    const facts = {
      state: this.#state,
      isSolitary: this.#holds.isSolitary,
      labels: this.#labels,
      config: this.#config,
      reading,
      jobs: this.#ledger.all,
      gates: this.#gatesAt(reading),
      neighbours: this.#neighbourhood.others,
      cards: this.gpus.at(reading, this.#nowMs),
      tuning: this.#tuning,
      nowMs: this.#nowMs,
      ...(this.#deps.pluginRules !== undefined && { pluginRules: this.#deps.pluginRules }),
    };
    return this.#longWaits.hold(createView(facts), this.#waiting, this.#ledger.all);
  }

  /** Sees that the next tick comes in time. */
  #schedule(): void {
    if (!this.#isStarted) return;
    this.#ticks.within(readingPauseMs(this.#reading, this.#ledger.size, this.#waiting.size));
  }

  /** Takes a reading and acts on it. Done by itself from `start` on, as often as it is worth it. */
  tick(): void {
    try {
      this.#readJobs();
      const reading = this.#read();
      this.gpus.read(reading, this.#deps.processes);
      this.#tuning.noteReading(reading, this.#ledger.all, this.#waiting.isOnlyFor("CPU"));
      this.#enforce(reading);
      this.#publish();
      const view = this.#view(reading);
      if (this.#waiting.requests.some((one) => decideAdmission(one, view).kind === "admit")) this.#announceRoom();
    } catch (error) {
      // One tick that fails must not end all that follow; each probe already answers for itself.
      this.#deps.logger.error({ err: error, reason: messageOf(error) }, "governor could not take a reading");
    }
    this.#schedule();
  }

  #enforce(reading: CapacityReading): void {
    // One victim at a time, on the whole machine.
    if (!this.#enforcer.isEnding && this.#neighbourhood.isEnding) return;
    this.#enforcer.enforce({ reading, gates: this.#gatesAt(reading), config: this.#config, state: this.#state });
  }

  #gatesAt(reading: CapacityReading): Gates {
    return this.#gates.state(reading, this.#nowMs, this.#ledger.reserved(false).processes);
  }

  /** Tells the other workers of this machine what is promised here. */
  #publish(): void {
    this.#neighbourhood.publish(this.#ledger.all, {
      isEnding: this.#enforcer.isEnding,
      queuesWithoutRoom: this.#waiting.queuesWithoutRoom,
      levels: sharedLevels(this.#reading?.memory ?? []),
      nowMs: this.#nowMs,
    });
  }

  #announceRoom(): void {
    for (const listener of this.#listeners) listener();
  }
}
