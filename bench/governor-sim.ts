/**
 * The governor in simulated time, as a share of the speed of a scheduler that knows the peaks; the same on each machine.
 * First its forecast alone (tests/support/memory-simulation.ts), over ten seeds: what its parts are worth. Then a whole
 * worker (tests/support/worker-simulation.ts), which begins without knowing any kind (`cold`) and goes on with other jobs
 * of the same kinds (`warm`), over four: what `governor-real` is to measure. Then, with the settings as they are, with jobs
 * of which 3 % take 2.5 times as much (`strange`: 0.88 at least, and 2 % of the jobs ended at most), and with jobs of which
 * three kinds take twice as much from one run to the next (`changed`). Three minutes or four.
 */
import { defaultGovernor, simulate, type SimulatedGovernor } from "../tests/support/memory-simulation.ts";
import { processOf } from "../tests/support/simulated-process.ts";
import { seeded } from "../tests/support/seeded.ts";
import { SimulatedWorker, type SimulatedRun } from "../tests/support/worker-simulation.ts";
import { createLoad, oracleSeconds, withChanged, withStrange, type LoadJob } from "./shared/memory-load.ts";
import { report, round } from "./shared/support.ts";

const SEEDS = [7_919, 11, 12, 13, 14, 15, 16, 17, 18, 19];
const governors: Readonly<Record<string, SimulatedGovernor>> = {
  asItIs: defaultGovernor,
  oneProfile: { ...defaultGovernor, hasProfiles: false },
  firstOnly: { ...defaultGovernor, looksAt: 1 },
  oneProfileFirstOnly: { ...defaultGovernor, hasProfiles: false, looksAt: 1 },
  inTurn: { ...defaultGovernor, order: "turn" },
  knowsTheQueueOnly: { ...defaultGovernor, knows: "queue" },
  threshold90: { ...defaultGovernor, threshold: 0.9 },
  noneOfThem: { threshold: 0.9, order: "turn", knows: "queue", looksAt: 1, hasProfiles: true },
};

/** What no scheduler may use is left out, as in `governor-real`. */
const oracle = (jobs: readonly LoadJob[]) => oracleSeconds(jobs, 4_096 * 0.96 - 150);
const loads = SEEDS.map((seed) => {
  const random = seeded(seed);
  const [learnedFrom, jobs] = [createLoad(random, 200), createLoad(random, 200)];
  return { learnedFrom, jobs, oracle: oracle(jobs) };
});
const figures = Object.entries(governors).map(([name, governor]) => {
  const runs = loads.map(({ learnedFrom, jobs, oracle }) => {
    const { seconds, kills, wasted } = simulate(learnedFrom, jobs, governor);
    return { ofOracle: round(oracle / seconds), kills, wasted };
  });
  const mean = runs.reduce((sum, { ofOracle }) => sum + ofOracle, 0) / runs.length;
  const kills = runs.reduce((sum, one) => sum + one.kills, 0);
  const wasted = runs.reduce((sum, one) => sum + one.wasted, 0) / runs.length;
  const ofOracle = runs.map((one) => one.ofOracle);
  return [name, { meanOfOracle: round(mean), ofOracle, kills, wasted: round(wasted, 4) }] as const;
});

const WORKER_SEEDS = 4;
const told = (jobs: readonly LoadJob[], { seconds, kills, suspensions, wasted, mostUse, meanUse }: SimulatedRun) => ({
  ofOracle: round(oracle(jobs.map(processOf)) / seconds),
  ...{ kills, suspensions, wasted: round(wasted, 4), mostUse: round(mostUse), meanUse: round(meanUse) },
});

type Told = ReturnType<typeof told>;

/** Over one worker per seed, which has each load after the other. */
async function worker(
  governor: { readonly memoryThreshold?: number },
  loadsOf: (load: (typeof loads)[number]) => Readonly<Record<string, readonly LoadJob[]>>,
) {
  const runs: Record<string, Told>[] = [];
  for (const load of loads.slice(0, WORKER_SEEDS)) {
    const simulated = new SimulatedWorker({ hasProfiles: false, governor });
    const run: Record<string, Told> = {};
    for (const [side, jobs] of Object.entries(loadsOf(load))) run[side] = told(jobs, await simulated.runAll(jobs));
    runs.push(run);
  }
  const mean = (side: string) => round(runs.reduce((sum, run) => sum + (run[side]?.ofOracle ?? 0), 0) / runs.length);
  return { meanOfOracle: Object.fromEntries(Object.keys(runs[0] ?? {}).map((side) => [side, mean(side)])), runs };
}

const coldAndWarm = ({ learnedFrom, jobs }: (typeof loads)[number]) => ({ cold: learnedFrom, warm: jobs });
const changing = ({ learnedFrom, jobs }: (typeof loads)[number]) => ({
  ...{ cold: learnedFrom, strange: withStrange(jobs), changed: withChanged(learnedFrom) },
});
const workers = {
  worker: await worker({}, coldAndWarm),
  workerThreshold90: await worker({ memoryThreshold: 0.9 }, coldAndWarm),
  workerChanges: await worker({}, changing),
};
const all = { seeds: SEEDS, ...Object.fromEntries(figures), ...workers };
report("governor-sim", { ...all, bar: "meanOfOracle >= 0.97, wasted <= 0.005, strange >= 0.88" });
