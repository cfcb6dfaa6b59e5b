/**
 * Bar: 200 mixed jobs (memory-load.ts) in a memory cgroup of 4 GiB, with no word about what they take: no kernel kill, warm
 * within 0.97 and cold within 0.88 of a scheduler that knows the peaks, at most 0.5 % of the work wasted. Beside it, over the
 * same jobs in the same run: polled thresholds, declared requests, a fixed number at a time, a tuner like Temporal's,
 * GNU parallel with `--memfree`, and somebody who tunes by hand (tuned-setting.ts). `ofTuned` is our speed as a share of that
 * of the latter's best setting without a kill, which is searched over the jobs of the warm run, and then used on those of
 * the cold one too: at least 0.9.
 *
 * Once with all kinds in the default profile, and once with a profile per kind, which is a name and no limit. The worker
 * runs in the cgroup with its jobs and counts against it; the others' controllers do not. Cold: an empty Redis.
 * Warm: after a cold run over other jobs of the same kinds. Needs root, a memory cgroup of version 1 and GNU parallel.
 * Two more sides are run only where they are named, after a cold run: `strange`, of whose jobs 3 % take 2.5 times as much as
 * their kind (bar: no kernel kill, 0.88 of who knows, 2 % of the jobs ended), and `changed`, of which three kinds take twice
 * as much from then on (bar: no kernel kill).
 *
 * `BENCH_SIDES=cold,warm` runs some sides alone, `BENCH_SEED` makes other jobs. All sides take about 45 minutes,
 * 25 of them the search (`tuned`).
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { seeded } from "../tests/support/seeded.ts";
import { BenchCgroup } from "./shared/bench-cgroup.ts";
import { endOf, startCgroupCluster, type CgroupCluster } from "./shared/cgroup-cluster.ts";
import {
  createLoad,
  kinds,
  oracleSeconds,
  withChanged,
  withStrange,
  writeLoad,
  type LoadJob,
  type WrittenJob,
} from "./shared/memory-load.ts";
import {
  declared,
  fixed,
  requested,
  runByParallel,
  runByPolicy,
  temporal,
  threshold,
  type SideResult,
} from "./shared/memory-policies.ts";
import { asProcess, measureOverhead } from "./shared/process-overhead.ts";
import { report, round, scratch } from "./shared/support.ts";
import { tuneByHand, type TunedSetting } from "./shared/tuned-setting.ts";

const LIMIT_MB = Number(process.env["BENCH_LIMIT_MB"] ?? 4_096);
const JOBS = Number(process.env["BENCH_JOBS"] ?? 200);
const SEED = Number(process.env["BENCH_SEED"] ?? 7_919);
const ALL = [
  "cold",
  "warm",
  "cold-profiles",
  "warm-profiles",
  "declared",
  "threshold",
  "fixed",
  "temporal",
  "parallel",
  "tuned",
];
const sides = (process.env["BENCH_SIDES"] ?? ALL.join(",")).split(",");
/** What a worker without jobs takes of the limit, and what any allocator rounds: no scheduler may use that. */
const BASE_MB = 150;

interface OurRun {
  readonly bin: string;
  readonly folder: string;
  readonly jobs: readonly WrittenJob[];
  readonly cgroup: BenchCgroup;
  /** A profile per kind, with a name and nothing else; otherwise all kinds are in the default one. */
  readonly hasProfiles: boolean;
}

interface OurResult extends SideResult {
  readonly governorKills: number;
}

async function ours(cluster: CgroupCluster, about: OurRun): Promise<OurResult> {
  const { bin, folder, jobs, cgroup, hasProfiles } = about;
  const killsBefore = cgroup.kernelKills;
  const startedMs = performance.now();
  const runs = await Promise.all(
    Object.keys(kinds).map((kind) =>
      cluster.client.run({
        command: [join(bin, kind), "{input}"],
        input: { kind: "tree", root: join(folder, kind) },
        output: { from: "none", root: join(folder, `out${hasProfiles ? "-profiles" : ""}-${kind}`) },
        ...(hasProfiles && { profile: kind }),
      }),
    ),
  );
  const runIds = runs.map(({ run }) => run.id);
  const { failed, wastedSeconds, governorKills } = await endOf(cluster, runIds);
  const seconds = (performance.now() - startedMs) / 1_000;
  const work = jobs.reduce((sum, job) => sum + job.seconds, 0);
  const kernelKills = cgroup.kernelKills - killsBefore;
  return { seconds, kernelKills, failed, wasted: wastedSeconds / work, governorKills };
}

using folder = scratch("governor");
await using cgroup = new BenchCgroup(LIMIT_MB);
const random = seeded(SEED);
const bin = join(folder.path, "bin");
// Who knows each peak knows those of the processes.
const overhead = await measureOverhead(join(folder.path, "overhead"));
const prepare = (name: string, change: (jobs: readonly LoadJob[]) => LoadJob[] = (jobs) => [...jobs]) => {
  const jobs = change(createLoad(random, JOBS));
  const place = join(folder.path, name);
  const processes = jobs.map((job) => asProcess(job, overhead));
  const oracle = oracleSeconds(processes, LIMIT_MB * 0.96 - BASE_MB);
  return { folder: place, jobs: writeLoad(bin, place, jobs), oracle };
};
const first = prepare("first");
const second = prepare("second");
/** Of kinds that are known, and that do not keep to it. */
const surprises = { strange: withStrange, changed: withChanged };
const results: Record<string, unknown> = {};
/** Of our own sides. */
const seconds: Record<string, number> = {};
const told = (result: SideResult, oracle: number, more: Record<string, unknown> = {}) => ({
  seconds: round(result.seconds, 1),
  ofOracle: round(oracle / result.seconds),
  kernelKills: result.kernelKills,
  failed: result.failed,
  wasted: round(result.wasted, 4),
  ...more,
});

/** A cold run, and a warm one after it, on a cluster of their own. */
async function measureOurs(hasProfiles: boolean): Promise<void> {
  const suffix = hasProfiles ? "-profiles" : "";
  if (!sides.includes(`cold${suffix}`) && !sides.includes(`warm${suffix}`)) return;
  const place = join(folder.path, `cluster${suffix}`);
  mkdirSync(place);
  await using cluster = await startCgroupCluster(place, cgroup);
  const about = { bin, cgroup, hasProfiles };
  const cold = await ours(cluster, { ...first, ...about });
  seconds[`cold${suffix}`] = cold.seconds;
  results[`cold${suffix}`] = told(cold, first.oracle, { governorKills: cold.governorKills });
  if (sides.includes(`warm${suffix}`)) {
    const warm = await ours(cluster, { ...second, ...about });
    seconds[`warm${suffix}`] = warm.seconds;
    results[`warm${suffix}`] = told(warm, second.oracle, { governorKills: warm.governorKills });
  }
}

/** What is known of the kinds after a cold run holds no more, of a few jobs or of all. */
async function measureSurprises(): Promise<void> {
  const wanted = Object.entries(surprises).filter(([name]) => sides.includes(name));
  if (wanted.length === 0) return;
  const place = join(folder.path, "cluster-surprises");
  mkdirSync(place);
  await using cluster = await startCgroupCluster(place, cgroup);
  const about = { bin, cgroup, hasProfiles: false };
  await ours(cluster, { ...prepare("known"), ...about });
  for (const [name, change] of wanted) {
    const load = prepare(name, change);
    const result = await ours(cluster, { ...load, ...about });
    const { governorKills } = result;
    results[name] = told(result, load.oracle, { governorKills, ended: round(governorKills / JOBS, 3) });
  }
}

await measureOurs(false);
await measureSurprises();
await measureOurs(true);
const policies = { declared, threshold: threshold(0.8, 200), fixed: fixed(4), temporal };
for (const [name, policy] of Object.entries(policies)) {
  if (sides.includes(name)) results[name] = told(await runByPolicy(policy, second.jobs, cgroup), second.oracle);
}
if (sides.includes("parallel")) results["parallel"] = told(await runByParallel(second.jobs, cgroup), second.oracle);
/** The best setting over the second load, on both loads, and what our sides come to beside it. */
async function measureTuned(): Promise<void> {
  const run = (jobs: readonly WrittenJob[]) => (setting: TunedSetting) => runByPolicy(requested(setting), jobs, cgroup);
  const { best, tried } = await tuneByHand(run(second.jobs));
  results["tuned"] = {
    tried: tried.map(({ setting, result }) => ({ ...shown(setting), ...told(result, second.oracle) })),
  };
  if (best === undefined) return;
  const onFirst = await run(first.jobs)(best.setting);
  results["tuned"] = {
    ...{ setting: shown(best.setting), warm: told(best.result, second.oracle), cold: told(onFirst, first.oracle) },
    ...(results["tuned"] as object),
  };
  const by = { cold: onFirst.seconds, warm: best.result.seconds };
  const shares = Object.entries(seconds).map(([side, taken]) => {
    return [side, round((side.startsWith("cold") ? by.cold : by.warm) / taken)] as const;
  });
  results["ofTuned"] = Object.fromEntries(shares);
}

/** Infinity is no JSON. */
function shown({ processes, share }: TunedSetting): Record<string, unknown> {
  return { processes: Number.isFinite(processes) ? processes : "any", share };
}

if (sides.includes("tuned")) await measureTuned();
report("governor-real", {
  jobs: JOBS,
  seed: SEED,
  limitMb: LIMIT_MB,
  overhead: { baseMb: round(overhead.baseMb, 1), perMb: round(overhead.perMb, 3), seconds: round(overhead.seconds, 3) },
  oracleSeconds: { cold: round(first.oracle, 1), warm: round(second.oracle, 1) },
  ...results,
  bar: "warm.ofOracle >= 0.97, cold.ofOracle >= 0.88, kernelKills 0, failed 0, wasted <= 0.005, ofTuned >= 0.9",
});
