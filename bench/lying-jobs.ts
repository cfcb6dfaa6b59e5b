/**
 * Bar: 24 jobs that declare 100 MB, hold to it for two thirds of their lives and then take 2 GB at once, in a memory cgroup
 * of 4 GiB, beside 48 honest ones that declare and take little: no kernel kill, every file succeeds, and the reservation of a
 * lying job is 0.9 of what it takes, or more, once three of them have been seen, and from then on.
 *
 * The worker runs in the cgroup with its jobs and counts against it. Once with as many processes as the worker lets in by
 * itself, and once with 16 that a person asks for. What was declared is trusted, so some have begun before the first one
 * shows what it takes (`begunTooSmall`). A process ends well, or by the governor. Needs root and a memory cgroup of version 1.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_PREFIX, keyPrefix } from "../src/contract/queues.ts";
import { MiB } from "../src/contract/resources.ts";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { loadHeartbeats } from "../src/platform/worker-heartbeats.ts";
import { seeded } from "../tests/support/seeded.ts";
import { BenchCgroup } from "./shared/bench-cgroup.ts";
import { endOf, startCgroupCluster, type CgroupCluster } from "./shared/cgroup-cluster.ts";
import { benchLogger } from "./shared/cluster.ts";
import { oracleSeconds, writeLoad, type LoadJob } from "./shared/memory-load.ts";
import { report, round, scratch } from "./shared/support.ts";

const LIMIT_MB = 4_096;
const LYING = 24;
const HONEST = 48;
const DECLARED_BYTES = 100e6;
const TAKEN_BYTES = 2e9;
/** From here on the scheduler knows that it was lied to. */
const KNOWN_BYTES = 0.9 * TAKEN_BYTES;
/** What a worker without jobs takes of the limit, and what any allocator rounds: no scheduler may use that. */
const BASE_MB = 150;
const POLL_MS = 100;

/** One start of a lying job. */
interface Begun {
  readonly atMs: number;
  readonly reservedBytes: number;
}

function createJobs(): LoadJob[] {
  const random = seeded(4_711);
  const between = (from: number, to: number) => from + (to - from) * random();
  const lying = Array.from({ length: LYING }, (): LoadJob => {
    const peakMb = (TAKEN_BYTES / MiB) * between(0.98, 1.02);
    return { kind: "lying", size: between(90, 110), peakMb, seconds: between(3, 5), shape: "lying" };
  });
  const honest = Array.from({ length: HONEST }, (): LoadJob => {
    return { kind: "honest", size: between(90, 110), peakMb: between(40, 80), seconds: between(1, 3), shape: "flat" };
  });
  return [...lying, ...honest];
}

/** Notes with what reservation each process of a run began, as the worker's heartbeats tell it, until it is stopped. */
function watchBegun({ redisUrl }: CgroupCluster, runId: string): { stop(): Promise<readonly Begun[]> } {
  const redis = openRedis(redisUrl, "command", benchLogger);
  const begun = new Map<string, Begun>();
  const look = async () => {
    for (const { running } of await loadHeartbeats(redis, keyPrefix(DEFAULT_PREFIX))) {
      for (const job of running) {
        // One that was claimed and has no process yet may still be put where it fits.
        if (job.runId !== runId || job.rssBytes === null) continue;
        begun.set(job.jobId, { atMs: job.sinceMs, reservedBytes: job.reserved.memoryBytes ?? 0 });
      }
    }
  };
  let looking = Promise.resolve();
  const timer = setInterval(() => {
    looking = looking.then(look);
  }, POLL_MS);
  return {
    stop: async () => {
      clearInterval(timer);
      await looking;
      await closeRedis(redis);
      return [...begun.values()].toSorted((a, b) => a.atMs - b.atMs);
    },
  };
}

/** When lying jobs have shown what they take: each end of a process, well or by the governor. */
async function endsOf({ store }: CgroupCluster, runId: string): Promise<number[]> {
  const ends = (await store.files.attempts(runId, { limit: 1_000 })).map(({ atMs }) => atMs);
  for await (const { startedAtMs, durationMs } of store.files.all(runId, 0)) {
    ends.push((startedAtMs ?? 0) + (durationMs ?? 0));
  }
  return ends;
}

using folder = scratch("lying");
await using cgroup = new BenchCgroup(LIMIT_MB);
const bin = join(folder.path, "bin");
const inputs = join(folder.path, "in");
const jobs = createJobs();
writeLoad(bin, inputs, jobs);
const oracle = oracleSeconds(jobs, LIMIT_MB * 0.96 - BASE_MB);
const work = jobs.reduce((sum, job) => sum + job.seconds, 0);

async function measure(name: string, workerArguments: readonly string[]): Promise<Record<string, unknown>> {
  const place = join(folder.path, name);
  mkdirSync(place);
  await using cluster = await startCgroupCluster(place, cgroup, workerArguments);
  const killsBefore = cgroup.kernelKills;
  const start = (kind: string) =>
    cluster.client.run({
      command: [join(bin, kind), "{input}"],
      input: { kind: "tree", root: join(inputs, kind) },
      output: { from: "none", root: join(place, `out-${kind}`) },
      resources: { memoryBytes: DECLARED_BYTES },
    });
  const startedMs = performance.now();
  const [lying, honest] = await Promise.all([start("lying"), start("honest")]);
  const watch = watchBegun(cluster, lying.run.id);
  const end = await endOf(cluster, [lying.run.id, honest.run.id]);
  const seconds = (performance.now() - startedMs) / 1_000;
  const begun = await watch.stop();
  const ends = await endsOf(cluster, lying.run.id);
  // From the last one that began with too little on, all that began had enough.
  const tooSmall = begun.filter(({ reservedBytes }) => reservedBytes < KNOWN_BYTES);
  const lastTooSmallMs = tooSmall.at(-1)?.atMs ?? 0;
  const counts = await Promise.all([lying, honest].map(({ run }) => cluster.client.status(run.id)));
  return {
    seconds: round(seconds, 1),
    ofOracle: round(oracle / seconds),
    kernelKills: cgroup.kernelKills - killsBefore,
    failed: end.failed,
    succeeded: counts.reduce((sum, status) => sum + status.counts.succeeded, 0),
    governorKills: end.governorKills,
    wasted: round(end.wastedSeconds / work, 4),
    begunTooSmall: tooSmall.length,
    learnedWithin: ends.filter((atMs) => atMs < lastTooSmallMs).length,
  };
}

const asMany = await measure("as-many-as-fit", []);
const sixteen = await measure("sixteen", ["--max-processes", "16"]);
report("lying-jobs", {
  jobs: { lying: LYING, honest: HONEST },
  limitMb: LIMIT_MB,
  oracleSeconds: round(oracle, 1),
  asMany,
  sixteen,
  bar: "kernelKills 0, failed 0, succeeded 72, learnedWithin <= 3",
});
