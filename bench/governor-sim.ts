/**
 * The forecast of the governor in simulated time (tests/support/memory-simulation.ts), over ten seeds: what its parts
 * are worth, as a share of the speed of a scheduler that knows the peaks. Seconds, and the same on each machine.
 */
import { defaultGovernor, simulate, type SimulatedGovernor } from "../tests/support/memory-simulation.ts";
import { seeded } from "../tests/support/seeded.ts";
import { createLoad, oracleSeconds } from "./shared/memory-load.ts";
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

const loads = SEEDS.map((seed) => {
  const random = seeded(seed);
  const [learnedFrom, jobs] = [createLoad(random, 200), createLoad(random, 200)];
  return { learnedFrom, jobs, oracle: oracleSeconds(jobs, 4_096 * 0.96 - 150) };
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
report("governor-sim", { seeds: SEEDS, ...Object.fromEntries(figures), bar: "meanOfOracle >= 0.97, wasted <= 0.005" });
