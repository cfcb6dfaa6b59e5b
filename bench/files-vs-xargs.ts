/**
 * Bar: 2,000 small files through sha256sum, outputs on disk, manifest complete, against `xargs -P<same>` running
 * `sh -c 'sha256sum … > out'` and against GNU parallel, in turn, in one run of this bench; and the event loop's lag of the
 * worker meanwhile.
 *
 * The worker is one that has been up for some runs already, as in a cluster or behind `headroom up`: V8 compiles what is
 * hot bit by bit, and the first run (`firstFilesPerSecond`) takes about half as much time again. The time is from the
 * enqueuing call to the end of the run. `coldRatioToXargs` is the whole command `headroom run` instead, which also starts
 * Node, Redis, the store and a worker, and compiles them. Needs `parallel`.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EventLoopLag } from "../src/platform/event-loop-lag.ts";
import { startBenchCluster, type BenchCluster } from "./shared/cluster.ts";
import { median, report, round, scratch, timeCommand } from "./shared/support.ts";

const FILES = 2_000;
const PROCESSES = Number(process.env["BENCH_PROCESSES"] ?? 4);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
const RUNS_BEFORE = 5;

interface RunJson {
  readonly files: { readonly succeeded: number };
}

using folder = scratch("xargs");
const input = join(folder.path, "in");
let sides = 0;
mkdirSync(input);
for (let at = 0; at < FILES; at += 1) writeFileSync(join(input, `file-${at}.txt`), `content of file ${at}\n`);

/**
 * A name for a folder of outputs that is not there yet, with nothing left for the disk to write: each side pays for its
 * own. What a side before has written stays: ext4 skips the inodes of the last minute's deletions one by one.
 */
function freshOutput(): string {
  execFileSync("sync");
  sides += 1;
  return join(folder.path, `out-${sides}`);
}

async function plain(commandTo: (output: string) => string): Promise<number> {
  const output = freshOutput();
  mkdirSync(output);
  const seconds = await timeCommand("bash", ["-c", commandTo(output)]);
  const written = readdirSync(output).length;
  if (written !== FILES) throw new Error(`expected ${FILES} outputs, found ${written}`);
  return FILES / seconds;
}

/** Files per second, and how late the worker's event loop was meanwhile. */
async function warm(cluster: BenchCluster): Promise<{ readonly rate: number; readonly lagMs: number }> {
  const output = freshOutput();
  const lag = new EventLoopLag();
  await lag.start();
  const started = performance.now();
  const { run } = await cluster.client.run({
    command: ["/usr/bin/sha256sum", "{input}"],
    input: { kind: "tree", root: input },
    output: { from: "stdout", root: output },
  });
  const { counts } = await cluster.client.wait(run.id);
  const seconds = (performance.now() - started) / 1_000;
  const lagMs = lag.quantiles().p99Seconds * 1_000;
  await lag.stop();
  const rows = await cluster.store.files.counts(run.id, 0);
  const written = readdirSync(output).length;
  if (counts.succeeded !== FILES || rows.succeeded !== FILES || written !== FILES) {
    throw new Error(
      `expected ${FILES} files, found ${counts.succeeded} counted, ${rows.succeeded} rows, ${written} outputs`,
    );
  }
  return { rate: FILES / seconds, lagMs };
}

function cold(home: string): number {
  const output = freshOutput();
  const started = performance.now();
  const places = ["--home", home, "--input", input, "--output", output, "--max-processes", String(PROCESSES)];
  const text = execFileSync(
    process.execPath,
    ["bin/headroom.js", "run", "--json", ...places, "--", "sha256sum", "{input}"],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  const { files } = JSON.parse(text) as RunJson;
  if (files.succeeded !== FILES) throw new Error(`expected ${FILES} files, found ${files.succeeded}`);
  return FILES / ((performance.now() - started) / 1_000);
}

const rates = { xargs: [] as number[], parallel: [] as number[], warm: [] as number[], cold: [] as number[] };
let lagMs = 0;
let first = 0;
{
  await using cluster = await startBenchCluster({ folder: folder.path, maxProcesses: PROCESSES });
  first = (await warm(cluster)).rate;
  for (let at = 1; at < RUNS_BEFORE; at += 1) await warm(cluster);
  for (let at = 0; at < ROUNDS; at += 1) {
    rates.xargs.push(
      await plain(
        (output) =>
          `find ${input} -type f -print0 | xargs -0 -P${PROCESSES} -I{} sh -c 'sha256sum "$1" > "$0/\${1##*/}.output"' ${output} {}`,
      ),
    );
    const ours = await warm(cluster);
    rates.warm.push(ours.rate);
    lagMs = Math.max(lagMs, ours.lagMs);
  }
}
for (let at = 0; at < ROUNDS; at += 1) {
  rates.cold.push(cold(join(folder.path, `home-${at}`)));
  rates.parallel.push(
    await plain(
      (output) => `find ${input} -type f | parallel --will-cite -j${PROCESSES} 'sha256sum {} > ${output}/{/}.output'`,
    ),
  );
}

const [xargs, parallel, ours, command] = [rates.xargs, rates.parallel, rates.warm, rates.cold].map(median);
report("files-vs-xargs", {
  files: FILES,
  processes: PROCESSES,
  rounds: ROUNDS,
  xargsFilesPerSecond: round(xargs ?? 0, 1),
  parallelFilesPerSecond: round(parallel ?? 0, 1),
  filesPerSecond: round(ours ?? 0, 1),
  firstFilesPerSecond: round(first, 1),
  coldFilesPerSecond: round(command ?? 0, 1),
  ratioToXargs: round((ours ?? 0) / (xargs ?? 1)),
  ratioToParallel: round((ours ?? 0) / (parallel ?? 1)),
  coldRatioToXargs: round((command ?? 0) / (xargs ?? 1)),
  eventLoopLagP99Ms: round(lagMs, 1),
  bar: "ratioToXargs >= 0.8, ratioToParallel >= 3, eventLoopLagP99Ms < 20",
});
