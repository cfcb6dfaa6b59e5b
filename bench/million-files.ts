/**
 * Bar: a synthetic source of 1,000,000 files. Memory of the process that scans (here also the worker and the client)
 * under 300 MB, Redis under 64 MB throughout, and both flat from the first tenth to the end.
 */
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { parseInfo } from "../src/platform/redis-check.ts";
import { benchLogger, startBenchCluster } from "./shared/cluster.ts";
import { report, round, scratch } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 1_000_000);
const SAMPLE_MS = 200;
const MB = 1_000_000;

interface Sample {
  readonly done: number;
  readonly rss: number;
  readonly redis: number;
}

using folder = scratch("million");
await using cluster = await startBenchCluster({ folder: folder.path });
const probe = openRedis(cluster.redis.url, "command", benchLogger);
const started = performance.now();
const { run } = await cluster.client.run({
  executor: "noop",
  command: ["/bin/true"],
  input: { kind: "synthetic", root: "/synthetic", count: FILES },
  output: { from: "none", root: folder.path },
});
const samples: Sample[] = [];
const timer = setInterval(() => {
  void Promise.all([probe.info("memory"), cluster.client.status(run.id)]).then(([info, status]) => {
    samples.push({
      done: status.progress.doneFiles,
      rss: process.memoryUsage().rss,
      redis: Number(parseInfo(info).get("used_memory") ?? 0),
    });
  });
}, SAMPLE_MS);
const ended = await cluster.client.wait(run.id);
clearInterval(timer);
const seconds = (performance.now() - started) / 1_000;
if (ended.counts.succeeded !== FILES) throw new Error(`expected ${FILES} files, found ${JSON.stringify(ended.counts)}`);

const most = (of: readonly Sample[], what: "rss" | "redis") => Math.max(...of.map((sample) => sample[what]));
const early = samples.filter((sample) => sample.done >= FILES * 0.1 && sample.done < FILES * 0.2);
const late = samples.filter((sample) => sample.done >= FILES * 0.9);
report("million-files", {
  files: FILES,
  filesPerSecond: round(FILES / seconds, 0),
  maxRssMb: round(most(samples, "rss") / MB, 1),
  maxRedisMb: round(most(samples, "redis") / MB, 1),
  rssLateToEarly: round(most(late, "rss") / most(early, "rss")),
  redisLateToEarly: round(most(late, "redis") / most(early, "redis")),
  bar: "maxRssMb < 300, maxRedisMb < 64, late/early about 1",
});
await closeRedis(probe);
