/**
 * A flood of small jobs and now and then a large one, over governors that agree by leases in Redis, in simulated time.
 * Governors, leases and Redis are the real ones; machines are files that are made up, and jobs are promises without a
 * process. What it leaves out: fetching jobs, and turns.
 */
import type { Redis } from "ioredis";
import type { Expectation } from "../../src/contract/expectation.ts";
import { MiB } from "../../src/contract/resources.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { Metrics } from "../../src/platform/metrics.ts";
import { DrainLeases } from "../../src/worker/drain-leases.ts";
import { CapacitySensor, createProbes } from "../../src/worker/governor/capacity.ts";
import { Governor } from "../../src/worker/governor/governor.ts";
import type { GovernorTicket, ReserveQuestion } from "../../src/worker/governor/governor-port.ts";
import { LongWaits } from "../../src/worker/governor/long-waits.ts";
import { ProcessTrees } from "../../src/worker/governor/probes/process-trees.ts";
import { FakeMachine } from "./fake-machine.ts";
import { quietLogger } from "./quiet-logger.ts";

export const BIG = "exec.big@24";
export const SMALL = "exec.small@19";
const LIMIT_MB = 4_096;
const THRESHOLD = 0.96;
const BIG_MB = 3_600;
const BIG_SECONDS = 20;
const STEP_MS = 250;

export interface SimulatedJob {
  readonly queue: string;
  readonly mebibytes: number;
  readonly seconds: number;
}

export interface DrainLoad {
  readonly nodes: number;
  readonly seconds: number;
  /** A large job comes so often; undefined: never. */
  readonly bigEverySeconds: number | undefined;
  /** `alone`: each node keeps room by itself. */
  readonly agree: "leases" | "alone";
  /**
   * So many of the small jobs that are next are looked at, and the one that takes the most for the longest is let in first, as
   * a worker does; left out: the next one alone.
   */
  readonly window?: number;
}

export interface StartedBig {
  readonly waitedSeconds: number;
  /** When a node could have started it at the earliest, as of when room began to be kept: after so many seconds. */
  readonly earliestSeconds: number;
}

export interface Drained {
  readonly bigs: readonly StartedBig[];
  /** Share of what the nodes may promise that was promised, on average. */
  readonly utilisation: number;
  /** The most nodes that kept room at a time. */
  readonly mostKeepers: number;
}

/** Time that goes by when the test says so. */
export class SimulatedClock implements Clock {
  ms = 1_000_000;
  nowMs(): number {
    return this.ms;
  }
  monotonicMs(): number {
    return this.ms;
  }
  sleep(): Promise<void> {
    return Promise.resolve();
  }
}

interface Running {
  readonly job: SimulatedJob;
  readonly endsAtMs: number;
  readonly ticket: GovernorTicket;
}

/** One machine of 4 GiB with its governor. */
export class SimulatedNode implements AsyncDisposable {
  readonly id: string;
  readonly governor: Governor;
  readonly leases: DrainLeases;
  readonly longWaits = new LongWaits();
  readonly metrics = new Metrics({ version: "0", process: "worker" }, quietLogger);
  readonly #machine = new FakeMachine(["0::/app"], { cpus: 64 });
  readonly #clock: SimulatedClock;
  #running: Running[] = [];
  #jobs = 0;

  constructor(id: string, clock: SimulatedClock, at: { redis: Redis; kp: string }) {
    this.id = id;
    this.#clock = clock;
    this.#machine.v2("app", { max: String(LIMIT_MB * MiB), current: 0 });
    const ends = { decided: () => undefined, stepped: () => undefined };
    this.governor = new Governor(
      {
        ...{ clock, logger: quietLogger, longWaits: this.longWaits, metrics: ends, act: () => undefined },
        sensor: new CapacitySensor(createProbes(this.#machine.roots)),
        processes: new ProcessTrees(this.#machine.roots),
      },
      { labels: [], maxProcesses: 200, memoryThreshold: THRESHOLD },
    );
    this.leases = new DrainLeases({
      ...{ ...at, clock, logger: quietLogger, metrics: this.metrics, workerId: id, longWaits: this.longWaits },
      readOffers: () => this.governor.snapshot().offers,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leases.stop();
    await this.governor.stop();
    this.#machine[Symbol.dispose]();
  }

  get running(): readonly SimulatedJob[] {
    return this.#running.map(({ job }) => job);
  }

  get keepsRoomFor(): string | undefined {
    return this.governor.snapshot().keepsRoomFor?.queue;
  }

  /** Whether the job was let in. */
  start(job: SimulatedJob): boolean {
    const ticket = this.governor.tryReserve(questionOf(job));
    if (ticket.kind !== "admit") return false;
    this.#jobs += 1;
    const jobId = `${this.id}-${this.#jobs}`;
    ticket.bind(jobId, "run-1");
    this.governor.describe(jobId, { remainingMs: 1_000 * job.seconds, expectation: expectationOf(job) });
    this.#running.push({ job, endsAtMs: this.#clock.ms + 1_000 * job.seconds, ticket });
    return true;
  }

  /** Ends what is over; whether something was. */
  endOver(): boolean {
    const over = this.#running.filter(({ endsAtMs }) => endsAtMs <= this.#clock.ms);
    for (const { ticket } of over) ticket.release();
    this.#running = this.#running.filter(({ endsAtMs }) => endsAtMs > this.#clock.ms);
    return over.length > 0;
  }

  noteBacklog(queues: readonly string[]): void {
    this.governor.noteBacklog(new Set(queues));
  }

  /** In how many seconds there would be room for a large job if nothing more was let in. */
  get drainedInSeconds(): number {
    let left = this.#running.toSorted((a, b) => a.endsAtMs - b.endsAtMs);
    let atMs = this.#clock.ms;
    while (usedMb(left.map(({ job }) => job)) + BIG_MB > THRESHOLD * LIMIT_MB) {
      atMs = left[0]?.endsAtMs ?? atMs;
      left = left.slice(1);
    }
    return (atMs - this.#clock.ms) / 1_000;
  }
}

export function smallJob(random: () => number): SimulatedJob {
  return { queue: SMALL, mebibytes: Math.round(100 + 400 * random()), seconds: Math.round(5 + 40 * random()) };
}

export const bigJob: SimulatedJob = { queue: BIG, mebibytes: BIG_MB, seconds: BIG_SECONDS };

/** Lets so much time go by over nodes that always have small jobs to start. */
export async function simulateDrains(
  load: DrainLoad,
  random: () => number,
  at: { redis: Redis; kp: string },
): Promise<Drained> {
  const clock = new SimulatedClock();
  const nodes = Array.from({ length: load.nodes }, (_, one) => new SimulatedNode(`node-${one + 1}`, clock, at));
  try {
    return await simulateOver(nodes, load, { clock, random });
  } finally {
    for (const node of nodes) await node[Symbol.asyncDispose]();
  }
}

async function simulateOver(
  nodes: readonly SimulatedNode[],
  load: DrainLoad,
  { clock, random }: { readonly clock: SimulatedClock; readonly random: () => number },
): Promise<Drained> {
  if (load.agree === "leases") for (const { longWaits } of nodes) longWaits.share();
  const flood = new Flood(nodes, random, load.window);
  const startMs = clock.ms;
  let [used, mostKeepers, nextBig] = [0, 0, load.bigEverySeconds ?? Infinity];
  for (const endMs = startMs + 1_000 * load.seconds; clock.ms < endMs; clock.ms += STEP_MS) {
    const seconds = (clock.ms - startMs) / 1_000;
    if (seconds >= nextBig) {
      flood.add(clock.ms);
      nextBig += load.bigEverySeconds ?? Infinity;
    }
    flood.step(clock.ms, Number.isInteger(seconds));
    if (Number.isInteger(seconds)) {
      if (load.agree === "leases") for (const { leases } of nodes) await leases.renew();
      const keepers = nodes.filter(({ keepsRoomFor }) => keepsRoomFor === BIG).length;
      mostKeepers = Math.max(mostKeepers, keepers);
      if (keepers > 0) flood.keep(clock.ms);
      used += nodes.reduce((sum, { running }) => sum + usedMb(running), 0);
    }
  }
  const capacity = load.nodes * load.seconds * LIMIT_MB * THRESHOLD;
  return { bigs: flood.started, utilisation: used / capacity, mostKeepers };
}

class Flood {
  readonly started: StartedBig[] = [];
  readonly #nodes: readonly SimulatedNode[];
  readonly #random: () => number;
  #waiting: { readonly atMs: number; earliestSeconds?: number }[] = [];
  #next: SimulatedJob[];
  #turn = 0;

  constructor(nodes: readonly SimulatedNode[], random: () => number, window = 1) {
    this.#nodes = nodes;
    this.#random = random;
    this.#next = Array.from({ length: window }, () => smallJob(random));
  }

  add(atMs: number): void {
    this.#waiting.push({ atMs });
  }

  /** Room begins to be kept for the job that waits first, unless it was before. */
  keep(nowMs: number): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    const drained = this.#nodes.map((node) => node.drainedInSeconds);
    first.earliestSeconds ??= (nowMs - first.atMs) / 1_000 + Math.min(...drained);
  }

  step(nowMs: number, isBeat: boolean): void {
    this.#turn += 1;
    const from = this.#turn % this.#nodes.length;
    for (const node of [...this.#nodes.slice(from), ...this.#nodes.slice(0, from)]) {
      if (!node.endOver() && !isBeat) continue;
      this.#startBig(node, nowMs);
      while (this.#startSmall(node));
      node.noteBacklog(this.#waiting.length > 0 ? [BIG, SMALL] : [SMALL]);
    }
  }

  #startSmall(node: SimulatedNode): boolean {
    const started = this.#next.toSorted((a, b) => areaOf(b) - areaOf(a)).find((job) => node.start(job));
    if (started === undefined) return false;
    this.#next = [...this.#next.filter((job) => job !== started), smallJob(this.#random)];
    return true;
  }

  #startBig(node: SimulatedNode, nowMs: number): void {
    const [first] = this.#waiting;
    if (first === undefined || !node.start(bigJob)) return;
    this.#waiting = this.#waiting.slice(1);
    const waitedSeconds = (nowMs - first.atMs) / 1_000;
    this.started.push({ waitedSeconds, earliestSeconds: first.earliestSeconds ?? waitedSeconds });
  }
}

function areaOf({ mebibytes, seconds }: SimulatedJob): number {
  return mebibytes * seconds;
}

function usedMb(jobs: readonly SimulatedJob[]): number {
  return jobs.reduce((sum, { mebibytes }) => sum + mebibytes, 0);
}

function questionOf(job: SimulatedJob): ReserveQuestion {
  const expected = { expectation: expectationOf(job), lastsMs: 1_000 * job.seconds };
  const need = { memoryBytes: job.mebibytes * MiB, cpuCores: 1, processes: 1 };
  return { queue: job.queue, need, labels: [], expected };
}

function expectationOf({ mebibytes, seconds }: SimulatedJob): Expectation {
  const bytes = mebibytes * MiB;
  const ms = 1_000 * seconds;
  return {
    ...{ basis: "learned", samples: 100, memoryBytes: { p50: bytes, p95: bytes } },
    ...{ durationMs: { p05: ms, p50: ms, p95: ms }, cpuCores: { p50: 0.1, p95: 0.1 } },
    ...{ ioBytesPerSecond: undefined, gpuMemoryBytes: undefined, shape: undefined },
  };
}
