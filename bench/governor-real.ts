/**
 * Bar: 200 mixed jobs (memory-load.ts) in a memory cgroup of 4 GiB, with no word about what they take: no kernel kill, warm
 * within 0.97 and cold within 0.88 of a scheduler that knows the peaks, at most 0.5 % of the work wasted. Beside it, over the
 * same jobs in the same run: polled thresholds, declared requests, a fixed number at a time, a tuner like Temporal's, and
 * GNU parallel with `--memfree`.
 *
 * Once with all kinds in the default profile, and once with a profile per kind, which is a name and no limit. The worker
 * runs in the cgroup with its jobs and counts against it; the others' controllers do not. Cold: an empty Redis.
 * Warm: after a cold run over other jobs of the same kinds. Needs root, a memory cgroup of version 1 and GNU parallel.
 * `BENCH_SIDES=cold,warm` runs some sides alone, `BENCH_SEED` makes other jobs. All sides take about 20 minutes.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createClient, type Client } from "../src/producer/client.ts";
import { Redis } from "ioredis";
import { keyPrefix } from "../src/contract/queues.ts";
import { loadHeartbeats } from "../src/platform/worker-heartbeats.ts";
import { openStore } from "../src/store/open-store.ts";
import type { Store } from "../src/store/store.ts";
import { startRedis } from "../tests/support/redis-server.ts";
import { seeded } from "../tests/support/seeded.ts";
import { BenchCgroup } from "./shared/bench-cgroup.ts";
import { benchLogger } from "./shared/cluster.ts";
import { createLoad, kinds, oracleSeconds, writeLoad, type WrittenJob } from "./shared/memory-load.ts";
import {
  declared,
  fixed,
  runByParallel,
  runByPolicy,
  temporal,
  threshold,
  type SideResult,
} from "./shared/memory-policies.ts";
import { report, round, scratch } from "./shared/support.ts";

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
];
const sides = (process.env["BENCH_SIDES"] ?? ALL.join(",")).split(",");
/** What a worker without jobs takes of the limit, and what any allocator rounds: no scheduler may use that. */
const BASE_MB = 150;

interface OurRun {
  readonly redis: Redis;
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

/** A worker in the cgroup and a scheduler beside it, as processes of the command line. */
async function startProcess(arguments_: readonly string[], cgroup?: BenchCgroup): Promise<ChildProcess> {
  const command = [process.execPath, "bin/headroom.js", ...arguments_];
  const child =
    cgroup === undefined
      ? spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", "ignore", "pipe"] })
      : spawn("sh", cgroup.entering(command), { stdio: ["ignore", "ignore", "pipe"] });
  const lines = createInterface(child.stderr);
  lines.on("line", (line) => {
    if (process.env["BENCH_LOG"] !== undefined) process.stderr.write(`${line}\n`);
  });
  await once(lines, "line");
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

async function ours(client: Client, store: Store, about: OurRun): Promise<OurResult> {
  const { bin, folder, jobs, cgroup, hasProfiles } = about;
  const killsBefore = cgroup.kernelKills;
  const startedMs = performance.now();
  const runs = await Promise.all(
    Object.keys(kinds).map((kind) =>
      client.run({
        command: [join(bin, kind), "{input}"],
        input: { kind: "tree", root: join(folder, kind) },
        output: { from: "none", root: join(folder, `out${hasProfiles ? "-profiles" : ""}-${kind}`) },
        ...(hasProfiles && { profile: kind }),
      }),
    ),
  );
  const trace = setInterval(() => {
    void loadHeartbeats(about.redis, keyPrefix("headroom")).then((beats) => {
      for (const beat of beats) {
        const codes: Record<string, number> = {};
        for (const { code } of beat.waiting) codes[code] = (codes[code] ?? 0) + 1;
        const { observed, headroom, capacity, reserved } = beat as unknown as Record<
          string,
          { memoryBytes: number; cpuCores: number }
        >;
        const mb = (x?: { memoryBytes: number }) => Math.round((x?.memoryBytes ?? 0) / 1048576);
        process.stderr.write(
          `${((performance.now() - startedMs) / 1000).toFixed(1)} n=${beat.running.length} used=${mb(observed)} reserved=${mb(reserved)} head=${mb(headroom)} cap=${mb(capacity)} cpu=${observed?.cpuCores.toFixed(2)}/${headroom?.cpuCores.toFixed(2)} ${JSON.stringify(codes)}\n`,
        );
      }
    });
  }, 1_000);
  const ends = await Promise.all(runs.map(({ run }) => client.wait(run.id)));
  clearInterval(trace);
  const seconds = (performance.now() - startedMs) / 1_000;
  let wastedMs = 0;
  let governorKills = 0;
  for (const { run } of runs) {
    for (const attempt of await store.files.attempts(run.id, { limit: 1_000 })) {
      wastedMs += attempt.durationMs ?? 0;
      if (attempt.failureClass === "out-of-memory") governorKills += 1;
    }
  }
  const work = jobs.reduce((sum, job) => sum + job.seconds, 0);
  const failed = ends.reduce((sum, { counts }) => sum + counts.failed + counts.quarantined, 0);
  const kernelKills = cgroup.kernelKills - killsBefore;
  return { seconds, kernelKills, failed, wasted: wastedMs / 1_000 / work, governorKills };
}

using folder = scratch("governor");
await using cgroup = new BenchCgroup(LIMIT_MB);
const random = seeded(SEED);
const bin = join(folder.path, "bin");
const prepare = (name: string) => {
  const jobs = createLoad(random, JOBS);
  const place = join(folder.path, name);
  return { folder: place, jobs: writeLoad(bin, place, jobs), oracle: oracleSeconds(jobs, LIMIT_MB * 0.96 - BASE_MB) };
};
const first = prepare("first");
const second = prepare("second");
const results: Record<string, unknown> = {};
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
  await using redis = await startRedis({ args: ["--appendonly", "yes"] });
  const storeUrl = `sqlite:${join(folder.path, `store${suffix}.db`)}`;
  const store = await openStore(storeUrl, benchLogger);
  await store.migrate();
  const client = await createClient({ redis: redis.url, store, logger: benchLogger });
  const place = ["--redis", redis.url, "--store", storeUrl, "--home", folder.path];
  const scheduler = await startProcess(["scheduler", ...place]);
  const worker = await startProcess(["worker", ...place], cgroup);
  const about = { bin, cgroup, hasProfiles, redis: new Redis(redis.url) };
  const cold = await ours(client, store, { ...first, ...about });
  results[`cold${suffix}`] = told(cold, first.oracle, { governorKills: cold.governorKills });
  if (sides.includes(`warm${suffix}`)) {
    const warm = await ours(client, store, { ...second, ...about });
    results[`warm${suffix}`] = told(warm, second.oracle, { governorKills: warm.governorKills });
  }
  await stop(worker);
  await stop(scheduler);
  await client.close();
  await store.close();
}

await measureOurs(false);
await measureOurs(true);
const policies = { declared, threshold: threshold(0.8, 200), fixed: fixed(4), temporal };
for (const [name, policy] of Object.entries(policies)) {
  if (sides.includes(name)) results[name] = told(await runByPolicy(policy, second.jobs, cgroup), second.oracle);
}
if (sides.includes("parallel")) results["parallel"] = told(await runByParallel(second.jobs, cgroup), second.oracle);
report("governor-real", {
  jobs: JOBS,
  seed: SEED,
  limitMb: LIMIT_MB,
  oracleSeconds: { cold: round(first.oracle, 1), warm: round(second.oracle, 1) },
  ...results,
  bar: "warm.ofOracle >= 0.97, cold.ofOracle >= 0.88, kernelKills 0, failed 0, wasted <= 0.005",
});
