/**
 * A whole worker over the mixed jobs of bench/shared/memory-load.ts, in simulated time: governor, ladder, learning, chunks,
 * and the order of claims are the real ones; processes, their memory, queues and scans are made up. What it leaves out:
 * Redis and how long it takes, other workers, CPUs that are short.
 */
import { runSpec } from "../../src/contract/run-spec.ts";
import type { FileEntry } from "../../src/contract/files.ts";
import type { ProcessMeasure } from "../../src/worker/executor/chunk-request.ts";
import { bucketBytes, bucketOf } from "../../src/contract/profiles.ts";
import { MiB } from "../../src/contract/resources.ts";
import type { LiveRun } from "../../src/platform/run-hash.ts";
import { classOf } from "../../src/platform/learned/class-key.ts";
import { Admissions, type Admitted } from "../../src/worker/admissions.ts";
import { CapacitySensor } from "../../src/worker/governor/capacity.ts";
import type { GovernorConfig } from "../../src/worker/governor/governor-config.ts";
import { Governor } from "../../src/worker/governor/governor.ts";
import { LearnedRuns } from "../../src/worker/governor/learned-runs.ts";
import { readingPauseMs } from "../../src/worker/governor/governor-view.ts";
import type { CpuReading } from "../../src/worker/governor/probes/cpu.ts";
import type { Probe } from "../../src/worker/governor/probes/probe.ts";
import type { Step } from "../../src/worker/governor/step.ts";
import type { Lane } from "../../src/worker/lane.ts";
import { QueueHeads } from "../../src/worker/queue-heads.ts";
import type { LoadJob } from "../../bench/shared/memory-load.ts";
import { SimulatedClock } from "./drain-simulation.ts";
import { quietLogger } from "./quiet-logger.ts";
import { SimulatedClasses } from "./simulated-classes.ts";
import { CPU_SHARE, SimulatedProcess } from "./simulated-process.ts";
import { SimulatedScan } from "./simulated-scan.ts";

export interface SimulatedRun {
  readonly seconds: number;
  /** Processes that the governor ended for memory, and their share of all work. */
  readonly kills: number;
  readonly wasted: number;
  readonly suspensions: number;
  /** The most that was in use, of the limit. */
  readonly mostUse: number;
  readonly meanUse: number;
}

interface Chunk {
  readonly id: string;
  readonly run: LiveRun;
  readonly scan: SimulatedScan;
  readonly files: readonly FileEntry[];
}

interface Held {
  readonly chunk: Chunk;
  readonly ticket: Admitted;
  readonly sinceMs: number;
  at: number;
  process: SimulatedProcess | undefined;
  /** When the next of its files starts, or, after the last one, when it ends. */
  nextMs: number;
  again: FileEntry[];
}

export interface SimulatedWorkerOptions {
  readonly hasProfiles: boolean;
  readonly governor: Partial<GovernorConfig>;
  /** Share of the cores that others use at a moment, in seconds. Without it nobody measures the cores. */
  readonly others?: (seconds: number) => number;
}

const LIMIT_MB = 4_096;
const STEP_MS = 50;
const CORES = 2;
/** From a claim to the start of its process, from one file to the next, and from the last end to the end of the job. */
const [START_MS, BETWEEN_MS, END_MS] = [20, 20, 30];
/** What the worker itself takes: it grows in its first seconds. */
const [WORKER_MB, WORKER_GROWN_MB, GROWING_MS] = [115, 200, 20_000];
const LOOK_MS = 1_000;
const SCAN_MS = 100;
const BEAT_MS = 1_000;
const RETRY_MS = 1_000;
const LARGEST_MS = 5_000;

export class SimulatedWorker {
  readonly clock = new SimulatedClock();
  readonly #options: SimulatedWorkerOptions;
  readonly #governor: Governor;
  readonly #learned: LearnedRuns;
  readonly #admissions: Admissions;
  readonly #queues = new Map<string, { lane: Lane; jobs: Chunk[] }>();
  readonly #runs = new Map<string, LiveRun>();
  readonly #jobs = new Map<string, LoadJob>();
  readonly #held = new Map<string, Held>();
  readonly #startedMs = this.clock.ms;
  #scans: SimulatedScan[] = [];
  #delayed: { readonly atMs: number; readonly add: () => void }[] = [];
  #ids = 0;
  #largest: { readonly bytes: number; readonly atMs: number } | undefined;
  #isKicked = true;
  /** CPU time since the start, of all and of our own jobs. */
  #busyMs = 0;
  #ownMs = 0;
  #counts = { kills: 0, lostMs: 0, suspensions: 0, most: 0, usedMs: 0, ms: 0 };
  /** Called now and then, for whoever wants to see what goes on. */
  onStep: ((worker: SimulatedWorker) => void) | undefined;

  constructor(options: SimulatedWorkerOptions) {
    this.#options = options;
    this.#learned = new LearnedRuns(new SimulatedClasses(), {
      ...{ predicted: () => undefined, covered: () => undefined, anomaly: () => undefined, drifted: () => undefined },
    });
    this.#governor = new Governor(
      {
        ...{ clock: this.clock, logger: quietLogger },
        metrics: { decided: () => undefined, stepped: () => undefined },
        act: (step) => {
          this.#take(step);
        },
        sensor: new CapacitySensor({
          memory: [
            probeOf("memory", () => [{ name: "cgroup", limitBytes: LIMIT_MB * MiB, usedBytes: this.usedBytes }]),
          ],
          cpu: probeOf("cpu", () => this.#cpu()),
          pressure: probeOf("pressure", () => noPressure),
        }),
        processes: {
          ...{
            watch: () => undefined,
            unwatch: () => undefined,
            close: () => undefined,
            pidsOf: () => [],
            readOwnCpuMs: () => this.#ownMs,
          },
          read: () => this.#readProcesses(),
        },
      },
      { labels: [], ...options.governor },
    );
    this.#governor.onRoom(() => (this.#isKicked = true));
    const heads = new QueueHeads({
      ...{ clock: this.clock, logger: quietLogger, learned: this.#learned },
      next: (lane) => Promise.resolve(this.#next(lane.place.name)),
      runs: { loadFor: (runId) => Promise.resolve(this.#runOf(runId)) },
      largestJob: { bytes: () => Promise.resolve(this.#largestBytes) },
    });
    const load = { shouldYield: () => false, isYielding: () => false, took: () => () => undefined };
    this.#admissions = new Admissions({ governor: this.#governor, load, heads });
  }

  get governor(): Governor {
    return this.#governor;
  }

  /** How many processes there are. */
  get running(): number {
    return [...this.#held.values()].filter(({ process }) => process !== undefined).length;
  }

  get seconds(): number {
    return (this.clock.ms - this.#startedMs) / 1_000;
  }

  get usedBytes(): number {
    const upMs = Math.min(GROWING_MS, this.clock.ms - this.#startedMs);
    const own = WORKER_MB + ((WORKER_GROWN_MB - WORKER_MB) * upMs) / GROWING_MS;
    return own * MiB + this.#sum((process) => process.rssBytes(this.clock.ms));
  }

  /** Runs all jobs, a run for each kind, to their end. */
  async runAll(jobs: readonly LoadJob[]): Promise<SimulatedRun> {
    const startMs = this.clock.ms;
    this.#counts = { kills: 0, lostMs: 0, suspensions: 0, most: 0, usedMs: 0, ms: 0 };
    this.#begin(jobs);
    for (let at = 0; this.#scans.some((scan) => !scan.isOver || scan.open > 0); at += 1) {
      await this.#step(at);
    }
    const { kills, lostMs, suspensions, most, usedMs, ms } = this.#counts;
    const work = jobs.reduce((sum, { seconds }) => sum + 1_000 * seconds, 0);
    const seconds = (this.clock.ms - startMs) / 1_000;
    const limit = LIMIT_MB * MiB;
    return { seconds, kills, wasted: lostMs / work, suspensions, mostUse: most / limit, meanUse: usedMs / ms / limit };
  }

  #begin(jobs: readonly LoadJob[]): void {
    this.#ids += 1;
    const round = this.#ids;
    this.#scans = [...new Set(jobs.map(({ kind }) => kind))].map((kind) => {
      const ofKind = jobs.filter((job) => job.kind === kind);
      const run = liveRun(`${kind}-${round}`, kind, this.#options.hasProfiles);
      this.#runs.set(run.runId, run);
      const files = ofKind.map((job, index) => {
        const path = `${run.runId}/${index}`;
        this.#jobs.set(path, job);
        return { index, path, bytes: Math.round(job.size * 1_024) };
      });
      const scan: SimulatedScan = new SimulatedScan(run, files, {
        learned: this.#learned,
        add: (some) => {
          this.#add(scan, some);
        },
      });
      return scan;
    });
  }

  async #step(at: number): Promise<void> {
    const nowMs = this.clock.ms;
    for (const held of [...this.#held.values()]) this.#move(held, nowMs);
    const due = this.#delayed.filter(({ atMs }) => atMs <= nowMs);
    this.#delayed = this.#delayed.filter(({ atMs }) => atMs > nowMs);
    for (const { add } of due) add();
    if ((at * STEP_MS) % SCAN_MS === 0) for (const scan of this.#scans) scan.step(nowMs);
    if (this.#isTickDue(at)) this.#governor.tick();
    if ((at * STEP_MS) % BEAT_MS === 0) this.#beat();
    if (this.#isKicked || (at * STEP_MS) % LOOK_MS === 0) await this.#pull();
    this.#count();
    this.onStep?.(this);
    this.clock.ms += STEP_MS;
  }

  #isTickDue(at: number): boolean {
    const rows = [{ name: "cgroup", limitBytes: LIMIT_MB * MiB, usedBytes: this.usedBytes }];
    const reading = { memory: rows } as unknown as Parameters<typeof readingPauseMs>[0];
    const steps = Math.max(1, Math.round(readingPauseMs(reading, this.#held.size, 1) / STEP_MS));
    return at % steps === 0;
  }

  #beat(): void {
    const holding = [...this.#queues].filter(([, { jobs }]) => jobs.length > 0).map(([name]) => name);
    const waiting = new Set(this.#governor.snapshot().waiting.map(({ queue }) => queue));
    this.#governor.noteBacklog(new Set(holding.filter((name) => waiting.has(name))));
  }

  #cpu(): CpuReading {
    const sources = [{ name: "host", cores: CORES, busySeconds: this.#busyMs / 1_000 }];
    return { cores: CORES, sources: this.#options.others === undefined ? [] : sources, throttledSeconds: undefined };
  }

  #count(): void {
    const ownMs = CPU_SHARE * STEP_MS * [...this.#held.values()].filter(({ process }) => process?.isMoving).length;
    this.#ownMs += ownMs;
    this.#busyMs += ownMs + CORES * STEP_MS * (this.#options.others?.(this.seconds) ?? 0);
    const used = this.usedBytes;
    this.#counts.most = Math.max(this.#counts.most, used);
    this.#counts.usedMs += used * STEP_MS;
    this.#counts.ms += STEP_MS;
  }

  /** As the pull loop does it. */
  async #pull(): Promise<void> {
    this.#isKicked = false;
    for (;;) {
      const lanes = [...this.#queues.values()].filter(({ jobs }) => jobs.length > 0).map(({ lane }) => lane);
      const ordered = this.#admissions.isOrderWanted(lanes) ? await this.#admissions.inOrder(lanes) : lanes;
      let hasClaimed = false;
      for (const lane of ordered) {
        const ticket = await this.#admissions.admit(lane);
        if (ticket.kind !== "admit" || !this.#claim(lane, ticket)) continue;
        hasClaimed = true;
        break;
      }
      if (!hasClaimed) return;
    }
  }

  #claim(lane: Lane, ticket: Admitted): boolean {
    const queue = this.#queues.get(lane.place.name);
    const wanted = queue?.jobs.find(({ id }) => id === ticket.wanted?.jobId);
    const chunk = wanted ?? (ticket.wanted?.isOnly === true ? undefined : queue?.jobs[0]);
    if (queue === undefined || chunk === undefined) {
      ticket.release();
      return false;
    }
    queue.jobs = queue.jobs.filter((one) => one !== chunk);
    ticket.bind(chunk.id, chunk.run.runId);
    const needBytes = this.#bytesOf(chunk);
    if (bucketOf(needBytes) > lane.bucket) {
      // Put where more is reserved for it.
      this.#put({ ...chunk, id: `${chunk.id}-m` }, needBytes);
      ticket.release();
      return true;
    }
    const nowMs = this.clock.ms;
    this.#held.set(chunk.id, {
      ...{ chunk, ticket, sinceMs: nowMs, at: 0, process: undefined, nextMs: nowMs + START_MS, again: [] },
    });
    const remainingMs = this.#learned.lastsMs(chunk.run, chunk.files);
    this.#governor.describe(chunk.id, {
      ...{ expectation: this.#learned.expectChunk(chunk.run, chunk.files), isRetriable: true },
      ...{ kind: classOf(chunk.run.spec).key, ...(remainingMs !== undefined && { remainingMs }) },
    });
    return true;
  }

  #move(held: Held, nowMs: number): void {
    const { chunk, process } = held;
    const file = chunk.files[held.at];
    if (process !== undefined && file !== undefined) {
      const sample = process.sample(chunk.id, file.bytes, nowMs);
      if (sample !== undefined) this.#learned.observe(chunk.run, chunk.id, sample);
      if (process.isOver(nowMs)) this.#endProcess(held, "well");
      return;
    }
    if (nowMs < held.nextMs) return;
    if (file === undefined) this.#endChunk(held);
    else this.#startProcess(held, file);
  }

  #startProcess(held: Held, file: FileEntry): void {
    const job = this.#jobs.get(file.path);
    if (job === undefined) throw new Error(`expected a job for ${file.path}`);
    this.#ids += 1;
    held.process = new SimulatedProcess(this.#ids, job, this.clock.ms);
    this.#governor.attach(held.chunk.id, this.#ids);
  }

  #endProcess(held: Held, end: ProcessMeasure["end"]): void {
    const { chunk, process } = held;
    const file = chunk.files[held.at];
    if (process === undefined || file === undefined) return;
    const nowMs = this.clock.ms;
    const measure = { ...process.measure(end, nowMs), isAlone: false, path: file.path, inputBytes: file.bytes };
    this.#governor.detach(chunk.id, process.pid);
    if (end === "well") {
      const work = this.#learned.workOf(chunk.run, file.bytes);
      this.#governor.worked(chunk.id, { work, cpuMs: measure.cpuMs });
    } else {
      this.#counts.lostMs += measure.durationMs;
      held.again.push({ ...file, endedAtBytes: measure.peakBytes });
    }
    this.#learned.learn(chunk.run, chunk.id, measure);
    held.process = undefined;
    held.at += 1;
    held.nextMs = nowMs + (held.at < chunk.files.length ? BETWEEN_MS : END_MS);
  }

  #endChunk({ chunk, ticket, sinceMs, again }: Held): void {
    this.#held.delete(chunk.id);
    this.#learned.learnChunk(chunk.run, chunk.files, this.clock.ms - sinceMs);
    this.#learned.forget(chunk.id);
    ticket.release();
    this.#isKicked = true;
    if (again.length === 0) chunk.scan.open -= 1;
    else {
      const retry = { ...chunk, id: `${chunk.id}-r`, files: again };
      const add = (): void => {
        this.#put(retry, this.#bytesOf(retry));
      };
      this.#delayed.push({ atMs: this.clock.ms + RETRY_MS, add });
    }
  }

  #take(step: Step): void {
    const held = this.#held.get(step.jobId);
    const process = held?.process;
    if (held === undefined || process === undefined || process.pid !== step.pid) return;
    if (step.kind === "suspend") {
      this.#counts.suspensions += 1;
      process.suspend(this.clock.ms);
    } else if (step.kind === "resume") process.resume(this.clock.ms);
    else if (step.kind === "end") {
      this.#counts.kills += 1;
      this.#endProcess(held, "evicted");
    }
  }

  #add(scan: SimulatedScan, files: readonly FileEntry[]): void {
    this.#ids += 1;
    const chunk = { id: `c${this.#ids}`, run: scan.run, scan, files };
    this.#put(chunk, this.#bytesOf(chunk));
  }

  #put(chunk: Chunk, memoryBytes: number): void {
    const bucket = bucketOf(memoryBytes);
    const name = `exec.${chunk.run.spec.profile}@${bucket}`;
    const queue = this.#queues.get(name) ?? { lane: laneOf(name, bucket), jobs: [] };
    queue.jobs.push(chunk);
    this.#queues.set(name, queue);
    this.#isKicked = true;
  }

  #bytesOf({ run, files }: Chunk): number {
    return this.#learned.chunkBytes(run, files, this.#largestBytes);
  }

  /** As long as a worker takes it for true. */
  get #largestBytes(): number {
    if (this.#largest === undefined || this.clock.ms - this.#largest.atMs >= LARGEST_MS) {
      this.#largest = { bytes: this.#governor.snapshot().largestJobBytes, atMs: this.clock.ms };
    }
    return this.#largest.bytes;
  }

  #next(queue: string): string[] {
    const jobs = (this.#queues.get(queue)?.jobs ?? []).slice(0, 16);
    return jobs.flatMap(({ id, run, files }) => [
      id,
      JSON.stringify({ runId: run.runId, epoch: 0, traceId: "t", chunk: id, files }),
    ]);
  }

  #runOf(runId: string): LiveRun {
    const run = this.#runs.get(runId);
    if (run === undefined) throw new Error(`expected a run ${runId}`);
    return run;
  }

  #readProcesses(): { jobId: string; rssBytes: number; cpuMs: number }[] {
    const nowMs = this.clock.ms;
    return [...this.#held.values()].flatMap(({ chunk, process }) =>
      process === undefined
        ? []
        : [{ jobId: chunk.id, rssBytes: process.rssBytes(nowMs), cpuMs: process.cpuMs(nowMs) }],
    );
  }

  #sum(amount: (process: SimulatedProcess) => number): number {
    return [...this.#held.values()].reduce(
      (sum, { process }) => sum + (process === undefined ? 0 : amount(process)),
      0,
    );
  }
}

const noPressure = { scope: "host", memorySomeSeconds: 0, memoryFullSeconds: 0, cpuSomeSeconds: 0 } as const;

function probeOf<T>(name: string, read: () => T): Probe<T> {
  return {
    ...{ name, mode: "inline", periodMs: 0, staleMs: Infinity, read },
    ...{ open: () => true, close: () => undefined },
  };
}

function liveRun(runId: string, kind: string, hasProfiles: boolean): LiveRun {
  const spec = runSpec.parse({
    command: [`/bin/${kind}`, "{input}"],
    input: { kind: "tree", root: "/in" },
    output: { from: "none", root: "/out" },
    ...(hasProfiles && { profile: kind }),
  });
  return { runId, spec, epoch: 0, state: "running", createdAtMs: 0 };
}

/** What admissions look at of a lane. */
function laneOf(name: string, bucket: number): Lane {
  const place = { name, spec: { cpuCores: 1, labels: [], memoryBytes: bucketBytes(bucket) } };
  return { bucket, jobName: "exec", place } as unknown as Lane;
}
