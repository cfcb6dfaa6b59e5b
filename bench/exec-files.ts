/**
 * The executor alone, without Redis, store or governor: 2,000 small files through sha256sum with captured output (input
 * and output hashed, flushed, allowed, renamed), four chunks at a time, against `xargs -P4` of `sh -c 'sha256sum … > out'`
 * in the same minute; and the no-op executor. Needs a build (`npm run build`), and on Node 20 the loader:
 * `npm run bench -- exec-files`.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { join } from "node:path";
import type { FileEntry } from "../src/contract/files.ts";
import type { RunSpecInput } from "../src/contract/run-request.ts";
import { runSpec, type RunSpec } from "../src/contract/run-spec.ts";
import { systemClock } from "../src/platform/clock.ts";
import { createLogger } from "../src/platform/logger.ts";
import { ChunkRunner, type ChunkEvents } from "../src/worker/executor/chunk-runner.ts";
import { median, report, round, scratch, timeCommand } from "./shared/support.ts";

const FILES = 2_000;
const NOOP_FILES = 1_000_000;
const CHUNKS_AT_ONCE = 4;
const CHUNK_FILES = Number(process.env["BENCH_CHUNK"] ?? 125);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 5);

using folder = scratch("exec");
const input = join(folder.path, "in");
const output = join(folder.path, "out");
mkdirSync(input);
const files: FileEntry[] = [];
for (let at = 0; at < FILES; at += 1) {
  const content = `content of file ${at}\n`;
  writeFileSync(join(input, `file-${at}.txt`), content);
  files.push({ index: at, path: `file-${at}.txt`, bytes: content.length });
}
const base: RunSpecInput = {
  command: ["/usr/bin/sha256sum", "{input}"],
  input: { kind: "tree", root: input },
  output: { root: output, from: "stdout" },
};

function freshOutput(): void {
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output);
}

async function xargs(): Promise<number> {
  freshOutput();
  const command = `find ${input} -type f -print0 | xargs -0 -P${CHUNKS_AT_ONCE} -I{} sh -c 'sha256sum "$1" > "$0/\${1##*/}.output"' ${output} {}`;
  return FILES / (await timeCommand("bash", ["-c", command]));
}

async function headroom(
  runner: ChunkRunner,
  spec: RunSpec,
  entries: readonly FileEntry[],
  size: number,
): Promise<number> {
  let succeeded = 0;
  let next = 0;
  const events: ChunkEvents = {
    starting: () => Promise.resolve(),
    mayPublish: (items) => Promise.resolve(items.map(() => true)),
    results: (results) => {
      succeeded += results.filter((result) => result.outcome === "succeeded").length;
    },
    reused: () => undefined,
    measured: () => undefined,
    usage: () => undefined,
  };
  const started = performance.now();
  const reader = async () => {
    while (next < entries.length) {
      const at = next;
      next += size;
      await runner.run(
        {
          chunkId: `c${at}`,
          runId: "bench",
          epoch: 0,
          workerId: "bench",
          token: `t${at}`,
          spec,
          files: entries.slice(at, at + size),
          known: new Map(),
          intents: new Map(),
          quarantined: new Set(),
          suspects: new Map(),
          isOneByOne: false,
          gpu: null,
        },
        events,
        new AbortController().signal,
      );
    }
  };
  await Promise.all(Array.from({ length: CHUNKS_AT_ONCE }, reader));
  const seconds = (performance.now() - started) / 1_000;
  if (succeeded !== entries.length) throw new Error(`expected ${entries.length} files, found ${succeeded}`);
  return entries.length / seconds;
}

const runner = new ChunkRunner(
  { logger: createLogger("warn", {}), clock: systemClock },
  { nice: 0, allow: {}, oomScoreAdj: 1_000 },
);
await runner.start();
const spec = runSpec.parse(base);
const rates = { xargs: [] as number[], ours: [] as number[] };
const lag = monitorEventLoopDelay({ resolution: 5 });
for (let at = 0; at < ROUNDS; at += 1) {
  rates.xargs.push(await xargs());
  freshOutput();
  lag.enable();
  rates.ours.push(await headroom(runner, spec, files, CHUNK_FILES));
  lag.disable();
  if (readdirSync(output).length !== FILES) throw new Error("expected one output per file and nothing else");
}
const many = Array.from({ length: NOOP_FILES }, (_, index) => ({ index, path: `f${index}`, bytes: 0 }));
const noop = await headroom(runner, runSpec.parse({ ...base, executor: "noop" }), many, 500);
await runner.stop();
const [theirs, ours] = [median(rates.xargs), median(rates.ours)];
report("exec-files", {
  files: FILES,
  chunksAtOnce: CHUNKS_AT_ONCE,
  rounds: ROUNDS,
  xargsFilesPerSecond: round(theirs, 1),
  filesPerSecond: round(ours, 1),
  ratioToXargs: round(ours / theirs),
  // The histogram counts the sampling interval itself.
  mainThreadLagP99Ms: round(lag.percentile(99) / 1e6 - 5, 2),
  noopFilesPerSecond: round(noop, 0),
  bar: "ratioToXargs >= 0.85, noopFilesPerSecond >= 300000",
});
