/**
 * The governor's forecast over the mixed jobs of bench/shared/memory-load.ts, in simulated time: no process, no Redis, the
 * same figures each time. What it leaves out: cores, chunks, and how long a claim takes.
 */
import type { Expectation } from "../../src/contract/expectation.ts";
import { bucketBytes, bucketOf } from "../../src/contract/profiles.ts";
import { MiB } from "../../src/contract/resources.ts";
import { decideFit } from "../../src/worker/governor/forecast.ts";
import { outlookOf, type MemoryExpectation, type Outlook } from "../../src/worker/governor/outlook.ts";
import { decideRisk, firstRisk } from "../../src/worker/governor/risk.ts";
import { memoryOverTime } from "../../src/worker/governor/self-tuning.ts";
import type { LoadJob } from "../../bench/shared/memory-load.ts";
import { Learning } from "./learning.ts";

export interface SimulatedGovernor {
  /** Up to which share of the limit jobs are admitted. */
  readonly threshold: number;
  /** What is known of the next job of a queue: the upper edge of its size and the job before it, or the job itself. */
  readonly knows: "queue" | "job";
  /** In which order queues are asked: each in its turn, or first what takes the most memory for the longest. */
  readonly order: "turn" | "area";
  /** So many jobs of a queue are looked at; the one of most memory for the longest that fits is let in. */
  readonly looksAt: number;
  /** Whether each kind has a profile of its own, and so queues of its own. */
  readonly hasProfiles: boolean;
}

/** As a worker without settings is. */
export const defaultGovernor: SimulatedGovernor = {
  threshold: 0.96,
  knows: "job",
  order: "area",
  looksAt: 16,
  hasProfiles: true,
};

export interface Simulated {
  readonly seconds: number;
  /** Share of the limit that was in use on average. */
  readonly meanUse: number;
  /** Processes that were ended because more than 93 % of the limit were in use, and their share of all work. */
  readonly kills: number;
  readonly wasted: number;
}

interface Waiting {
  readonly job: LoadJob;
  readonly expectation: Expectation;
}

interface Running extends Waiting {
  readonly atSeconds: number;
  peakMb: number;
}

const STEP_SECONDS = 0.05;
const LIMIT_MB = 4_096;
/** What the worker itself uses of the limit. */
const WORKER_MB = 115;
const ALARM_RATIO = 0.93;
const COOLDOWN_SECONDS = 2;

/** Memory of a job at a moment of its life, as the programs of the load take it. */
export function memoryMbAt({ peakMb, shape }: Pick<LoadJob, "peakMb" | "shape">, progress: number): number {
  const base = Math.min(60, peakMb * 0.3);
  const upTo = (share: number) => Math.min(1, share);
  if (shape === "flat") return base + (peakMb - base) * upTo(progress / 0.08);
  if (shape === "ramp") return base + (peakMb - base) * upTo(progress / 0.7);
  if (progress < 0.55) return base + (peakMb * 0.45 - base) * upTo(progress / 0.1);
  return peakMb * 0.45 + peakMb * 0.55 * upTo((progress - 0.55) / 0.12);
}

/** Runs all jobs with what was learned of others of their kinds. */
export function simulate(
  learnedFrom: readonly LoadJob[],
  jobs: readonly LoadJob[],
  governor: SimulatedGovernor,
): Simulated {
  const node = new SimulatedNode(queuesOf(jobs, learn(learnedFrom), governor.hasProfiles), governor);
  let usedMb = 0;
  let steps = 0;
  while (node.isBusy) {
    usedMb += node.step();
    steps += 1;
  }
  const work = jobs.reduce((sum, { seconds }) => sum + seconds, 0);
  const { seconds, kills, wastedSeconds } = node;
  return { seconds, meanUse: usedMb / steps / LIMIT_MB, kills, wasted: wastedSeconds / work };
}

class SimulatedNode {
  seconds = 0;
  kills = 0;
  wastedSeconds = 0;
  readonly #queues: Map<string, readonly Waiting[]>;
  readonly #governor: SimulatedGovernor;
  readonly #lastOf = new Map<string, Expectation>();
  readonly #usableBytes: number;
  #running: Running[] = [];
  #risk = firstRisk;
  #turn = 0;
  #closedUntil = 0;

  constructor(queues: Map<string, readonly Waiting[]>, governor: SimulatedGovernor) {
    this.#queues = queues;
    this.#governor = governor;
    this.#usableBytes = (governor.threshold * LIMIT_MB - WORKER_MB) * MiB;
  }

  get isBusy(): boolean {
    return this.#queues.size > 0 || this.#running.length > 0;
  }

  /** Ends what is done, admits what fits, and lets a moment pass; the MiB that were in use before it admitted. */
  step(): number {
    const still = this.#running.filter(({ job, atSeconds }) => this.seconds - atSeconds < job.seconds);
    for (let at = still.length; at < this.#running.length; at += 1) this.#risk = decideRisk(this.#risk, "clean");
    this.#running = still;
    const usedMb = still.reduce((sum, one) => sum + useMb(one, this.seconds), WORKER_MB);
    if (usedMb > ALARM_RATIO * LIMIT_MB) this.#kill(usedMb - ALARM_RATIO * LIMIT_MB);
    if (this.seconds >= this.#closedUntil) this.#admit();
    this.seconds += STEP_SECONDS;
    return usedMb;
  }

  /** The youngest that alone frees enough begins anew, with what it was seen to take as the least. */
  #kill(excessMb: number): void {
    const victim = this.#running.findLast((one) => useMb(one, this.seconds) >= excessMb);
    if (victim === undefined) return;
    this.#running = this.#running.filter((one) => one !== victim);
    this.kills += 1;
    this.wastedSeconds += this.seconds - victim.atSeconds;
    this.#risk = decideRisk(this.#risk, "governor-kill");
    this.#closedUntil = this.seconds + COOLDOWN_SECONDS;
    const { job, expectation, peakMb } = victim;
    const least = Math.min(this.#usableBytes, 1.35 * peakMb * MiB);
    const { p50, p95 } = expectation.memoryBytes;
    const memoryBytes = { p50: Math.max(p50, least), p95: Math.max(p95, least) };
    const name = `${job.kind}@${bucketOf(memoryBytes.p95)}`;
    const again = { job, expectation: { ...expectation, memoryBytes } };
    this.#queues.set(name, [...(this.#queues.get(name) ?? []), again]);
  }

  #admit(): void {
    const outlooks = this.#running.map((one) => outlookAt(one, this.seconds));
    const left = new Set(this.#queues.keys());
    while (left.size > 0) {
      this.#turn += 1;
      const name = this.#next([...left]);
      const queue = this.#queues.get(name) ?? [];
      const seen = queue.slice(0, this.#governor.looksAt).toSorted((one, other) => areaOf(other) - areaOf(one));
      const next = seen.find((one) => this.#fits(one, name, outlooks));
      if (next === undefined) {
        left.delete(name);
        continue;
      }
      const begun = { ...next, atSeconds: this.seconds, peakMb: 0 };
      this.#running.push(begun);
      outlooks.push(outlookAt(begun, this.seconds));
      this.#lastOf.set(name, next.expectation);
      const rest = queue.filter((one) => one !== next);
      if (rest.length > 0) this.#queues.set(name, rest);
      else this.#queues.delete(name);
    }
  }

  #next(names: readonly string[]): string {
    const from = this.#turn % names.length;
    const inTurn = [...names.slice(from), ...names.slice(0, from)];
    if (this.#governor.order === "turn") return inTurn[0] ?? "";
    const most = (name: string) =>
      Math.max(0, ...(this.#queues.get(name) ?? []).slice(0, this.#governor.looksAt).map(areaOf));
    return inTurn.toSorted((one, other) => most(other) - most(one))[0] ?? "";
  }

  #fits(head: Waiting, name: string, running: readonly Outlook[]): boolean {
    const isKnown = this.#governor.knows === "job";
    const candidate = isKnown ? memoryOverTime(head.expectation) : guessOf(head, this.#lastOf.get(name));
    return decideFit({ candidate, running, usableBytes: this.#usableBytes, z: this.#risk.z }).kind === "fits";
  }
}

function areaOf({ expectation }: Waiting): number {
  return expectation.memoryBytes.p95 * (expectation.durationMs?.p50 ?? 0);
}

function learn(jobs: readonly LoadJob[]): ReadonlyMap<string, Learning> {
  const kinds = new Map<string, Learning>();
  for (const job of jobs) {
    const kind = kinds.get(job.kind) ?? new Learning();
    kinds.set(job.kind, kind);
    const figures = { ioBytes: 0, gpuBytes: null, weight: 1, jobs: 1, cpuMs: 20 * job.seconds };
    const [peakBytes, durationMs] = [job.peakMb * MiB, job.seconds * 1_000];
    kind.take({ kind: "ended", inputBytes: inputBytes(job), peakBytes, durationMs, shape: shapeOf(job), ...figures });
  }
  return kinds;
}

/** The largest share of its peak in each tenth of its life. */
function shapeOf(job: LoadJob): number[] {
  const shareAt = (progress: number) => memoryMbAt(job, progress) / job.peakMb;
  const within = Array.from({ length: 20 }, (_, at) => at / 200);
  return Array.from({ length: 10 }, (_, tenth) => Math.max(...within.map((more) => shareAt(tenth / 10 + more))));
}

/** One queue per size bucket and profile, with the jobs in the order in which they were made. */
function queuesOf(
  jobs: readonly LoadJob[],
  kinds: ReadonlyMap<string, Learning>,
  hasProfiles: boolean,
): Map<string, readonly Waiting[]> {
  const queues = new Map<string, readonly Waiting[]>();
  for (const job of jobs) {
    const expectation = (kinds.get(job.kind) ?? new Learning()).expect(inputBytes(job));
    const name = `${hasProfiles ? job.kind : "default"}@${bucketOf(expectation.memoryBytes.p95)}`;
    queues.set(name, [...(queues.get(name) ?? []), { job, expectation }]);
  }
  return queues;
}

function inputBytes({ size }: LoadJob): number {
  return Math.round(size * 1_024);
}

/** What a worker takes the next job of a queue for, from the one before it. */
function guessOf({ expectation }: Waiting, before: Expectation | undefined): MemoryExpectation {
  const p95 = bucketBytes(bucketOf(expectation.memoryBytes.p95));
  if (before === undefined) return { memoryBytes: { p50: p95, p95 }, durationMs: undefined, shape: undefined };
  return { ...memoryOverTime(before), memoryBytes: { p50: Math.min(p95, before.memoryBytes.p50), p95 } };
}

function useMb({ job, atSeconds }: Running, seconds: number): number {
  return memoryMbAt(job, (seconds - atSeconds) / job.seconds);
}

function outlookAt(one: Running, seconds: number): Outlook {
  const rssMb = useMb(one, seconds);
  one.peakMb = Math.max(one.peakMb, rssMb);
  return outlookOf({
    id: one.job.kind,
    expectation: memoryOverTime(one.expectation),
    elapsedMs: (seconds - one.atSeconds) * 1_000,
    rssBytes: rssMb * MiB,
    peakBytes: one.peakMb * MiB,
  });
}
