/**
 * The scale signal in simulated time, beside two simple rules over the same loads: one worker for every ten jobs that wait, as
 * KEDA does with the length of a list, and one by the use of the CPU, as an autoscaler of pods does by default. Workers take a
 * while to start and drain before they leave. Seeded, so the same on each machine; seconds of real time.
 */
import type { ScalingSignal } from "../src/contract/scaling.ts";
import { decideScaling, type ScalingSettings } from "../src/scheduler/scaling.ts";
import { seeded } from "../tests/support/seeded.ts";
import { quantile, report, round } from "./shared/support.ts";

const SLOTS = 4;
const START_SECONDS = 30;
const DRAIN_SECONDS = 25;
const MAX_WORKERS = 100;
const COOLDOWN_SECONDS = 300;
/** So often each rule is asked, as an autoscaler asks. */
const ASK_SECONDS = 15;

interface Arrival {
  readonly atSeconds: number;
  readonly lastsSeconds: number;
}

interface Load {
  readonly seconds: number;
  readonly arrivals: readonly Arrival[];
}

interface Worker {
  readonly readyAt: number;
  /** Set once it leaves: what still runs then is handed back. */
  leavesAt: number;
  /** Ends of the jobs that it runs. */
  readonly jobs: { readonly startedAt: number; readonly endsAt: number; readonly job: Arrival }[];
}

interface Seen {
  readonly now: number;
  readonly waiting: number;
  readonly workers: readonly Worker[];
  readonly meanSeconds: number | undefined;
}

type Rule = (seen: Seen) => number;

const busyOf = (workers: readonly Worker[]) => workers.filter(({ jobs }) => jobs.length > 0).length;
const activeOf = (workers: readonly Worker[]) => workers.reduce((sum, { jobs }) => sum + jobs.length, 0);

/** The real decision, fed with what a scheduler would see. */
function ourRule(): Rule {
  let before: ScalingSignal | undefined;
  const settings: ScalingSettings = {
    ...{ targetWaitMs: 60_000, minWorkers: 0, maxWorkers: MAX_WORKERS },
    ...{ cooldownMs: COOLDOWN_SECONDS * 1_000, drainMs: DRAIN_SECONDS * 1_000 },
  };
  return ({ now, waiting, workers, meanSeconds }) => {
    const known = meanSeconds === undefined ? undefined : { jobMs: meanSeconds * 1_000, jobsAtOnce: SLOTS };
    const live = workers.filter(({ readyAt }) => readyAt <= now);
    const facts = {
      ...{ profile: "default", labels: [], heldByGovernors: 0, hasMore: false, roomForJobs: SLOTS },
      ...{ runnable: { waiting, prioritized: 0, due: 0 }, notRunnable: { paused: 0, delayed: 0, unschedulable: 0 } },
      longestRunMs: 1_000 * Math.max(0, ...live.flatMap(({ jobs }) => jobs.map((one) => now - one.startedAt))),
      ...{ active: activeOf(workers), workers: { live: live.length, busy: busyOf(live) } },
      ...{ paces: known === undefined ? [] : [{ profile: "default", ...known }], remembered: known },
    };
    before = decideScaling({ nowMs: now * 1_000, isPaused: false, profiles: [facts] }, settings, before);
    return before.value;
  };
}

/** Most of the last cooldown, as an autoscaler's stabilisation window has it: the simple rules get that too. */
function stabilised(rule: Rule): Rule {
  const past: { readonly now: number; readonly value: number }[] = [];
  return (seen) => {
    past.push({ now: seen.now, value: Math.min(MAX_WORKERS, rule(seen)) });
    while ((past[0]?.now ?? seen.now) <= seen.now - COOLDOWN_SECONDS) past.shift();
    return Math.max(...past.map(({ value }) => value));
  };
}

const rules: Readonly<Record<string, () => Rule>> = {
  ours: ourRule,
  listLength: () => stabilised(({ waiting }) => Math.ceil(waiting / 10)),
  // Desired = current × use / target, as the pod autoscaler reckons; the jobs use half of their core, for they wait for disks.
  cpu: () =>
    stabilised(({ workers }) => {
      const use = workers.length === 0 ? 0 : (0.5 * activeOf(workers)) / (SLOTS * workers.length);
      return Math.max(1, Math.ceil((workers.length * use) / 0.7));
    }),
};

/** One cluster under one rule, second by second. */
class Simulation {
  readonly #arrivals: readonly Arrival[];
  readonly #rule: Rule;
  readonly #queue: Arrival[] = [];
  readonly #again: Arrival[] = [];
  readonly #waits: number[] = [];
  #workers: Worker[] = [];
  #next = 0;
  #meanSeconds: number | undefined;
  #workerSeconds = 0;
  #interrupted = 0;
  #most = 0;

  constructor(arrivals: readonly Arrival[], rule: Rule) {
    this.#arrivals = arrivals;
    this.#rule = rule;
  }

  play(seconds: number) {
    for (let now = 0; now < seconds; now += 1) {
      this.#arrive(now);
      for (const worker of this.#workers) this.#end(worker, now);
      this.#workers = this.#workers.filter(
        ({ leavesAt, jobs }) => leavesAt === Infinity || (leavesAt > now && jobs.length > 0),
      );
      if (now % ASK_SECONDS === 0) this.#scale(now);
      for (const worker of this.#workers) this.#claim(worker, now);
      this.#workerSeconds += this.#workers.length;
    }
    // Who never began has waited until the end.
    for (const { atSeconds } of this.#queue) this.#waits.push(seconds - atSeconds);
    return {
      ...{ p50Seconds: quantile(this.#waits, 0.5), p99Seconds: quantile(this.#waits, 0.99) },
      ...{ interrupted: this.#interrupted, mostWorkers: this.#most, workerHours: round(this.#workerSeconds / 3_600) },
    };
  }

  #arrive(now: number): void {
    for (let job = this.#arrivals[this.#next]; job !== undefined && job.atSeconds <= now;) {
      this.#queue.push(job);
      this.#next += 1;
      job = this.#arrivals[this.#next];
    }
  }

  /** Ends what is done, and hands back what a worker that leaves still holds. */
  #end(worker: Worker, now: number): void {
    const ended = worker.jobs.filter(({ endsAt }) => endsAt <= now);
    const going = worker.jobs.filter(({ endsAt }) => endsAt > now);
    for (const { job } of ended) {
      const mean = this.#meanSeconds ?? job.lastsSeconds;
      this.#meanSeconds = mean + 0.02 * (job.lastsSeconds - mean);
    }
    const handedBack = worker.leavesAt <= now ? going.splice(0) : [];
    this.#interrupted += handedBack.length;
    this.#again.push(...handedBack.map(({ job }) => job));
    worker.jobs.splice(0, Infinity, ...going);
  }

  #scale(now: number): void {
    const staying = this.#workers.filter(({ leavesAt }) => leavesAt === Infinity);
    const waiting = this.#queue.length + this.#again.length;
    const wanted = this.#rule({ now, waiting, workers: staying, meanSeconds: this.#meanSeconds });
    this.#most = Math.max(this.#most, wanted);
    for (let count = staying.length; count < wanted; count += 1) {
      this.#workers.push({ readyAt: now + START_SECONDS, leavesAt: Infinity, jobs: [] });
    }
    // The idle go first, by their deletion cost.
    const idleFirst = staying.toSorted((a, b) => a.jobs.length - b.jobs.length);
    for (const worker of idleFirst.slice(0, Math.max(0, staying.length - wanted)))
      worker.leavesAt = now + DRAIN_SECONDS;
  }

  #claim(worker: Worker, now: number): void {
    if (worker.readyAt > now || worker.leavesAt !== Infinity) return;
    while (worker.jobs.length < SLOTS) {
      const again = this.#again.shift();
      const job = again ?? this.#queue.shift();
      if (job === undefined) return;
      if (again === undefined) this.#waits.push(now - job.atSeconds);
      worker.jobs.push({ startedAt: now, endsAt: now + job.lastsSeconds, job });
    }
  }
}

function loadOf(
  seconds: number,
  seed: number,
  perSecond: (now: number) => number,
  lasts: (random: () => number) => number,
): Load {
  const random = seeded(seed);
  const arrivals: Arrival[] = [];
  for (let now = 0; now < seconds; now += 1) {
    for (let due = perSecond(now); due > 0; due -= 1) {
      if (due >= 1 || random() < due) arrivals.push({ atSeconds: now, lastsSeconds: lasts(random) });
    }
  }
  return { seconds, arrivals };
}

const HOUR = 3_600;
const short = (random: () => number) => 2 + 6 * random();
const loads: Readonly<Record<string, Load>> = {
  bursts: loadOf(4 * HOUR, 11, (now) => (now % HOUR === 60 ? 5_000 : 0.2), short),
  day: loadOf(24 * HOUR, 12, (now) => 4 * (1 - Math.cos((2 * Math.PI * now) / (24 * HOUR))), short),
  longJobs: loadOf(
    12 * HOUR,
    13,
    (now) => (now % (2 * HOUR) === 0 ? 60 : 0.002),
    (random) => 600 + 2_400 * random(),
  ),
};

const figures = Object.entries(loads).map(([name, load]) => {
  const played = Object.entries(rules).map(
    ([rule, make]) => [rule, new Simulation(load.arrivals, make()).play(load.seconds)] as const,
  );
  return [name, { jobs: load.arrivals.length, ...Object.fromEntries(played) }] as const;
});
const p99 = (rule: string) =>
  figures.map(([, figure]) => (figure as unknown as Record<string, { p99Seconds: number }>)[rule]?.p99Seconds ?? 0);
const ratio = (rule: string) => p99(rule).map((other, at) => round(other / Math.max(1, p99("ours")[at] ?? 0)));
report("scaling-sim", {
  ...Object.fromEntries(figures),
  p99RatioToListLength: ratio("listLength"),
  p99RatioToCpu: ratio("cpu"),
});
