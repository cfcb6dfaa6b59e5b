/**
 * Bars: what engines leave behind. A hundred are started, load a model, answer and end, one after the other: this process is
 * where it was after the first quarter, within 5 %. One engine runs eight thousand batches: it is where it was after the
 * first two thousand, within 5 %. Low points are compared: between two collections of garbage memory goes up and comes down.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { inputSpec } from "../src/contract/run-spec.ts";
import type { ModelEngine } from "../src/worker/inference/model-engine.ts";
import { openBenchEngine } from "./shared/bench-engine.ts";
import { submitAll } from "./shared/submit-all.ts";
import { report, round, scratch } from "./shared/support.ts";

const CYCLES = Number(process.env["BENCH_CYCLES"] ?? 100);
const BATCHES = Number(process.env["BENCH_BATCHES"] ?? 8_000);
const ROWS = 32;
const MODEL = resolve("tests/fixtures/models/filetype");
const text = readFileSync("package-lock.json");

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

using folder = scratch("infer-recycling");
const root = join(folder.path, "in");
mkdirSync(root);
const paths = Array.from({ length: ROWS * 50 }, (_, at) => `f${at}.txt`);
for (const [at, path] of paths.entries()) writeFileSync(join(root, path), text.subarray(at * 37, at * 37 + 1_024));
const place = { input: inputSpec.parse({ kind: "tree", root }), inputRules: { minBytes: 0 }, inputRoot: undefined };

async function ask(engine: ModelEngine, files: number): Promise<void> {
  const placeId = engine.addPlace(place);
  await submitAll(engine, placeId, paths.slice(0, files));
  engine.removePlace(placeId);
}

/** Resident memory of a process, without what files share with it. */
function anonymousMb(pid: number): number {
  return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) / 1_024;
}

/** From the lowest of the second quarter to the lowest of the last one; the first one is for what is made once. */
function growth(samples: readonly number[]) {
  const quarter = Math.ceil(samples.length / 4);
  const before = Math.min(...samples.slice(quarter, 2 * quarter));
  const after = Math.min(...samples.slice(-quarter));
  return { beforeMb: round(before, 1), afterMb: round(after, 1), change: round(after / before - 1) };
}

const cycles: number[] = [];
for (let at = 0; at < CYCLES; at += 1) {
  await using bench = openBenchEngine(MODEL);
  await bench.engine.ready();
  await ask(bench.engine, ROWS);
  collectGarbage();
  cycles.push(anonymousMb(process.pid));
}
const ofEngine: number[] = [];
const ofWorker: number[] = [];
await using bench = openBenchEngine(MODEL, { fixedRows: ROWS });
await bench.engine.ready();
while (bench.batches.length < BATCHES) {
  await ask(bench.engine, paths.length);
  collectGarbage();
  ofEngine.push(anonymousMb(bench.engine.facts.pid ?? 0));
  ofWorker.push(anonymousMb(process.pid));
}
report("infer-recycling", {
  cycles: CYCLES,
  batches: bench.batches.length,
  workerOverCycles: growth(cycles),
  engineOverBatches: growth(ofEngine),
  workerOverBatches: growth(ofWorker),
  bar: "each change <= 0.05",
});
