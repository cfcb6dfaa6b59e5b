/**
 * The scale signal in simulated time, beside two simple rules over the same loads: one worker for every ten jobs that wait, as
 * KEDA does with the length of a list, and one by the use of the CPU, as an autoscaler of pods does by default. Workers take a
 * while to start and drain before they leave. Seeded, so the same on each machine; seconds of real time.
 */
import type { ScalingSignal } from "../src/contract/scaling.ts";
import { decideScaling, type ScalingSettings } from "../src/scheduler/scaling.ts";
import { seeded } from "../tests/support/seeded.ts";
import { report, round } from "./shared/support.ts";

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

function play({ seconds, arrivals }: Load, rule: Rule) {
  const queue: Arrival[] = [];
  const again: Arrival[] = [];
  let workers: Worker[] = [];
  let next = 0;
  let meanSeconds: number | undefined;
  let [workerSeconds, interrupted, most] = [0, 0, 0];
  const waits: number[] = [];
  for (let now = 0; now < seconds; now += 1) {
    for (let job = arrivals[next]; job !== undefined && job.atSeconds <= now; job = arrivals[(next += 1)])
      queue.push(job);
    for (const worker of workers) {
      for (let at = worker.jobs.length - 1; at >= 0; at -= 1) {
        const held = worker.jobs[at];
        if (held === undefined || held.endsAt > now) continue;
        worker.jobs.splice(at, 1);
        const { lastsSeconds } = held.job;
        meanSeconds = meanSeconds === undefined ? lastsSeconds : meanSeconds + 0.02 * (lastsSeconds - meanSeconds);
      }
      if (worker.leavesAt > now) continue;
      interrupted += worker.jobs.length;
      again.push(...worker.jobs.splice(0).map(({ job }) => job));
    }
    workers = workers.filter(({ leavesAt, jobs }) => leavesAt === Infinity || (leavesAt > now && jobs.length > 0));
    const staying = workers.filter(({ leavesAt }) => leavesAt === Infinity);
    if (now % ASK_SECONDS === 0) {
      const wanted = rule({ now, waiting: queue.length + again.length, workers: staying, meanSeconds });
      most = Math.max(most, wanted);
      for (let count = staying.length; count < wanted; count += 1) {
        workers.push({ readyAt: now + START_SECONDS, leavesAt: Infinity, jobs: [] });
      }
      // The idle go first, by their deletion cost.
      const leaving = staying
        .toSorted((a, b) => a.jobs.length - b.jobs.length)
        .slice(0, Math.max(0, staying.length - wanted));
      for (const worker of leaving) worker.leavesAt = now + DRAIN_SECONDS;
    }
    for (const worker of workers) {
      while (worker.readyAt <= now && worker.leavesAt === Infinity && worker.jobs.length < SLOTS) {
        const isAgain = again.length > 0;
        const job = again.shift() ?? queue.shift();
        if (job === undefined) break;
        if (!isAgain) waits.push(now - job.atSeconds);
        worker.jobs.push({ startedAt: now, endsAt: now + job.lastsSeconds, job });
      }
    }
    workerSeconds += workers.length;
  }
  // Who never began has waited until the end.
  for (const { atSeconds } of queue) waits.push(seconds - atSeconds);
  const sorted = waits.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return {
    p50Seconds: at(0.5),
    p99Seconds: at(0.99),
    interrupted,
    workerHours: round(workerSeconds / 3_600),
    mostWorkers: most,
  };
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
  const played = Object.entries(rules).map(([rule, make]) => [rule, play(load, make())] as const);
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
