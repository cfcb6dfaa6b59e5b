/**
 * Bar: CPU-bound, waiting and mixed loads of real programs without any setting: at least 0.95 of the throughput of the
 * best fixed number of processes at a time, found by search. Both sides are a worker of ours with a Redis of its own that
 * has run the same load once before, so what differs is only who says how many run.
 *
 * - `cpu`: `gzip -9` over files of 0.2 to 2 MiB.
 * - `image`: `gm convert` (GraphicsMagick) of pictures of 1 to 6 MiB to half their size, as JPEG.
 * - `server`: `curl` against a server that does 8 requests at a time, and less the more come beyond that.
 * - `disk`: `dd` of 1 MiB, synchronous with each block of 64 KiB.
 * - `mixed`: `sha256sum` over files of 16 MiB and `xz` over small ones, a run each at the same time.
 *
 * The search goes up from 4 and then down, each way until it was slower twice; a run that takes three times as long as the
 * best one is cancelled. Then the two best and ours take turns. `ratio` is the median time of the better one over ours;
 * `cold` the same with the first run of ours, which knew nothing; `atATime` how many processes ran at a time on average.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ALL_WORKERS } from "../src/contract/limits.ts";
import { keyPrefix } from "../src/contract/queues.ts";
import { setLimits } from "../src/platform/limits.ts";
import { closeRedis, openRedis } from "../src/platform/redis.ts";
import { seeded } from "../tests/support/seeded.ts";
import { benchLogger, PREFIX, startBenchCluster, type BenchCluster } from "./shared/cluster.ts";
import { startSlowServer } from "./shared/slow-server.ts";
import { median, report, round, scratch } from "./shared/support.ts";

const FIXED = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const FIRST_FIXED = 4;
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const PATIENCE = 3;
const LONGEST_MS = 25_000;
/** A worker hears of another limit at once; this is far longer. */
const LIMIT_SET_MS = 300;
const KNEE = 8;
const SERVICE_MS = 250;

interface Part {
  readonly name: string;
  readonly command: readonly string[];
  readonly from: "stdout" | "file";
  readonly files: number;
  /** From the least to the most. */
  readonly kib: readonly [number, number];
  /** Files are pictures (PPM), not text. */
  readonly isPicture?: boolean;
}

interface Took {
  /** Infinity for one that was cancelled. */
  readonly seconds: number;
  readonly atATime: number;
}

using folder = scratch("concurrency");
await using server = await startSlowServer(KNEE, SERVICE_MS);
const loads: Readonly<Record<string, readonly Part[]>> = {
  cpu: [
    { name: "gzip", command: ["/usr/bin/gzip", "-9", "-c", "{input}"], from: "stdout", files: 24, kib: [200, 2_000] },
  ],
  image: [
    {
      ...{ name: "gm", command: ["/usr/bin/gm", "convert", "ppm:{input}", "-resize", "50%", "jpeg:{output}"] },
      ...{ from: "file", files: 100, kib: [1_024, 6_144], isPicture: true },
    },
  ],
  server: [
    {
      ...{ name: "curl", command: ["/usr/bin/curl", "-s", "-T", "{input}", server.url] },
      ...{ from: "stdout", files: 130, kib: [1, 1] },
    },
  ],
  disk: [
    {
      ...{ name: "dd", command: ["/usr/bin/dd", "if={input}", "of={output}", "bs=64k", "oflag=dsync", "status=none"] },
      ...{ from: "file", files: 500, kib: [1_024, 1_024] },
    },
  ],
  mixed: [
    { name: "sha", command: ["/usr/bin/sha256sum", "{input}"], from: "stdout", files: 40, kib: [16_384, 16_384] },
    { name: "xz", command: ["/usr/bin/xz", "-6", "-c", "{input}"], from: "stdout", files: 20, kib: [400, 800] },
  ],
};

const random = seeded(3);
/** Text that a compressor has to work on: words in an order of chance. */
const words = Array.from({ length: 2 ** 18 }, () =>
  Math.floor(1e7 * random())
    .toString(36)
    .padEnd(8),
).join("");
/** The head of a picture of about so many bytes; each byte that follows is a colour of a pixel. */
function pictureHead(bytes: number): { head: string; bytes: number } {
  const [width, height] = [1_000, Math.ceil(bytes / 3_000)];
  return { head: `P6\n${width} ${height}\n255\n`, bytes: width * height * 3 };
}

const only = process.env["BENCH_LOADS"]?.split(",");
const wanted = Object.entries(loads).filter(([load]) => only === undefined || only.includes(load));
for (const { name, files, kib, isPicture } of wanted.flatMap(([, parts]) => parts)) {
  mkdirSync(join(folder.path, name));
  for (let at = 0; at < files; at += 1) {
    const asked = Math.round(1_024 * (kib[0] + (kib[1] - kib[0]) * random()));
    const { head, bytes } = isPicture === true ? pictureHead(asked) : { head: "", bytes: asked };
    const text = words.repeat(Math.ceil(bytes / words.length)).slice(0, bytes);
    writeFileSync(join(folder.path, name, `f${at}`), head + text);
  }
}

function progress(text: string): void {
  process.stderr.write(`${round(performance.now() / 1_000, 1)} s: ${text}\n`);
}

let outputs = 0;
/** Runs a load once; one that takes longer than `longestMs` is cancelled. @throws when a file fails */
async function runOnce({ client, store }: BenchCluster, parts: readonly Part[], longestMs: number): Promise<Took> {
  outputs += 1;
  const root = join(folder.path, `out-${outputs}`);
  const started = performance.now();
  const isLate = AbortSignal.timeout(longestMs);
  const runs = await Promise.all(
    parts.map(({ name, command, from }) =>
      client.run({
        command: [...command],
        input: { kind: "tree", root: join(folder.path, name) },
        output: { from, root: join(root, name) },
        profile: name,
      }),
    ),
  );
  const ends = await Promise.allSettled(runs.map(({ run }) => client.wait(run.id, isLate)));
  const seconds = (performance.now() - started) / 1_000;
  let busyMs = 0;
  for (const [at, { run }] of runs.entries()) {
    const end = ends[at];
    if (end?.status !== "fulfilled" && !isLate.aborted) throw new Error(`could not wait for ${run.id}`, { cause: end });
    if (isLate.aborted) await client.cancel(run.id, "takes too long");
    else for await (const { durationMs } of store.files.all(run.id, 0)) busyMs += durationMs ?? 0;
    const { counts } = await client.status(run.id);
    if (!isLate.aborted && counts.succeeded !== counts.total)
      throw new Error(`expected no failures, found ${JSON.stringify(counts)}`);
  }
  rmSync(root, { recursive: true, force: true });
  return isLate.aborted ? { seconds: Infinity, atATime: NaN } : { seconds, atATime: busyMs / 1_000 / seconds };
}

/** Goes from one side of the fixed numbers to the other until it was slower than the best twice. */
async function search(levels: readonly number[], best: () => number, run: (level: number) => Promise<number>) {
  let slower = 0;
  for (const level of levels) {
    const before = best();
    slower = (await run(level)) > before ? slower + 1 : 0;
    if (slower === 2) return;
  }
}

async function measure(load: string, parts: readonly Part[]) {
  const at = (side: string) => {
    const path = join(folder.path, `${load}-${side}`);
    mkdirSync(path);
    return { folder: path, workerId: `bench-${side}` };
  };
  await using ours = await startBenchCluster(at("ours"));
  const cold = await runOnce(ours, parts, LONGEST_MS);
  progress(`${load}: ours, cold: ${round(cold.seconds, 2)} s, ${round(cold.atATime, 1)} at a time`);
  await runOnce(ours, parts, LONGEST_MS);
  await using fixed = await startBenchCluster(at("fixed"));
  const redis = openRedis(fixed.redis.url, "command", benchLogger);
  const times = new Map<number, number[]>();
  const medianOf = (level: number) => median(times.get(level) ?? [Infinity]);
  const best = () => Math.min(Infinity, ...[...times.keys()].map(medianOf));
  const runFixed = async (level: number) => {
    await setLimits({ redis, kp: keyPrefix(PREFIX), logger: benchLogger }, ALL_WORKERS, { max_processes: level });
    await sleep(LIMIT_SET_MS);
    const { seconds } = await runOnce(fixed, parts, Math.ceil(Math.min(LONGEST_MS, PATIENCE * 1_000 * best())));
    times.set(level, [...(times.get(level) ?? []), seconds]);
    progress(`${load}: ${level} at a time: ${round(seconds, 2)} s`);
    return seconds;
  };
  await runFixed(FIRST_FIXED);
  times.clear();
  await search(
    FIXED.filter((level) => level >= FIRST_FIXED),
    best,
    runFixed,
  );
  await search(FIXED.filter((level) => level < FIRST_FIXED).reverse(), best, runFixed);
  const two = [...times.keys()].sort((a, b) => medianOf(a) - medianOf(b)).slice(0, 2);
  const own: Took[] = [];
  for (let turn = 0; turn < ROUNDS; turn += 1) {
    own.push(await runOnce(ours, parts, LONGEST_MS));
    progress(
      `${load}: ours: ${round(own.at(-1)?.seconds ?? NaN, 2)} s, ${round(own.at(-1)?.atATime ?? NaN, 1)} at a time`,
    );
    for (const level of two) await runFixed(level);
  }
  await closeRedis(redis);
  const seconds = median(own.map((one) => one.seconds));
  const bestFixed = two.reduce((a, b) => (medianOf(b) < medianOf(a) ? b : a));
  return {
    ratio: round(medianOf(bestFixed) / seconds),
    cold: round(medianOf(bestFixed) / cold.seconds),
    bestFixed,
    bestFixedSeconds: round(medianOf(bestFixed), 2),
    seconds: round(seconds, 2),
    atATime: round(median(own.map((one) => one.atATime)), 1),
    tried: Object.fromEntries([...times].map(([level, all]) => [level, all.map((one) => round(one, 2))])),
  };
}

const figures: Record<string, unknown> = {};
for (const [load, parts] of wanted) figures[load] = await measure(load, parts);
report("best-concurrency", { ...figures, bar: "each ratio >= 0.95" });
