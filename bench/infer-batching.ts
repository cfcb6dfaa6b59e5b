/**
 * Bars: batches against one file at a time, by the same engine over the same files: twice as fast at least; and what a
 * file waits beside its own batch, which is what batching costs: at most the delay of the manifest and one batch more.
 * Once with files that come by themselves now and then, once with as many callers as two batches hold.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inputSpec } from "../src/contract/run-spec.ts";
import type { ModelEngine } from "../src/worker/inference/model-engine.ts";
import type { BatchFacts } from "../src/worker/inference/work-queue.ts";
import { openBenchEngine } from "./shared/bench-engine.ts";
import { submitAll } from "./shared/submit-all.ts";
import { median, quantile, report, round, scratch } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 4_000);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 5);
const ROWS = 32;
const CALLERS = 2 * ROWS;
/** Files that come by themselves in a second: so few that the engine is idle most of the time. */
const LONELY_PER_SECOND = 500;
const MODEL = resolve("tests/fixtures/models/filetype");
const text = readFileSync("package-lock.json");

/** Files per second of all files, handed over at once. */
async function rate(engine: ModelEngine, placeId: number, paths: readonly string[]): Promise<number> {
  return paths.length / (await submitAll(engine, placeId, paths));
}

interface Waits {
  /** From being handed over to its answer, without the time of its batch. */
  readonly waitsMs: number[];
  readonly batchesMs: number[];
}

/** Hands one file over; resolves when it has its answer. */
function one(engine: ModelEngine, placeId: number, path: string, { waitsMs, batchesMs }: Waits): Promise<void> {
  const startedMs = performance.now();
  return new Promise((done, failed) => {
    const onAnswers = (_answers: readonly unknown[], { wholeMs }: BatchFacts) => {
      waitsMs.push(performance.now() - startedMs - wholeMs);
      batchesMs.push(wholeMs);
      done();
    };
    engine.submit({ placeId, paths: [path], onAnswers, onBroken: failed });
  });
}

/** Callers that each hand over one file after the other. */
async function crowded(engine: ModelEngine, placeId: number, paths: readonly string[]): Promise<Waits> {
  const waits: Waits = { waitsMs: [], batchesMs: [] };
  let next = 0;
  const call = async (): Promise<void> => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) await one(engine, placeId, path, waits);
  };
  await Promise.all(Array.from({ length: CALLERS }, call));
  return waits;
}

/** Files that come at times of their own, whatever became of those before. */
async function lonely(engine: ModelEngine, placeId: number, paths: readonly string[]): Promise<Waits> {
  const waits: Waits = { waitsMs: [], batchesMs: [] };
  const asked: Promise<void>[] = [];
  const startedMs = performance.now();
  for (const [at, path] of paths.slice(0, LONELY_PER_SECOND).entries()) {
    const dueMs = (at * 1_000) / LONELY_PER_SECOND - (performance.now() - startedMs);
    if (dueMs > 1) await sleep(dueMs);
    asked.push(one(engine, placeId, path, waits));
  }
  await Promise.all(asked);
  return waits;
}

interface Judged {
  readonly p99Ms: number;
  readonly mostMs: number;
}

/** The 99th percentile of waits, and what it may be. */
function judged({ waitsMs, batchesMs }: Waits, delayMs: number): Judged {
  return { p99Ms: quantile(waitsMs, 0.99), mostMs: delayMs + quantile(batchesMs, 0.99) };
}

using folder = scratch("infer-batching");
const root = join(folder.path, "in");
mkdirSync(root);
const paths = Array.from({ length: FILES }, (_, at) => `f${at}.txt`);
for (const [at, path] of paths.entries()) {
  const from = (at * 37) % (text.length - 1_024);
  writeFileSync(join(root, path), text.subarray(from, from + 1_024));
}
const place = { input: inputSpec.parse({ kind: "tree", root }), inputRules: { minBytes: 0 }, inputRoot: undefined };

await using alone = openBenchEngine(MODEL, { fixedRows: 1 });
await using batched = openBenchEngine(MODEL, { fixedRows: ROWS });
const [, loaded] = await Promise.all([alone.engine.ready(), batched.engine.ready()]);
const delayMs = loaded.model.manifest.batch.wait_ms;
const alonePlace = alone.engine.addPlace(place);
const batchedPlace = batched.engine.addPlace(place);
await rate(batched.engine, batchedPlace, paths);
const rounds: { alone: number; batched: number; lonely: Judged; crowded: Judged }[] = [];
for (let at = 0; at < ROUNDS; at += 1) {
  rounds.push({
    alone: await rate(alone.engine, alonePlace, paths),
    batched: await rate(batched.engine, batchedPlace, paths),
    lonely: judged(await lonely(batched.engine, batchedPlace, paths), delayMs),
    crowded: judged(await crowded(batched.engine, batchedPlace, paths), delayMs),
  });
}
const waitOf = (name: "lonely" | "crowded") => ({
  p99Ms: round(median(rounds.map((each) => each[name].p99Ms)), 2),
  mostMs: round(median(rounds.map((each) => each[name].mostMs)), 2),
  ratio: round(median(rounds.map((each) => each[name].p99Ms / each[name].mostMs)), 2),
});
report("infer-batching", {
  files: FILES,
  rounds: ROUNDS,
  rows: ROWS,
  aloneFilesPerSecond: round(median(rounds.map((each) => each.alone)), 0),
  batchedFilesPerSecond: round(median(rounds.map((each) => each.batched)), 0),
  ratio: round(median(rounds.map((each) => each.batched / each.alone)), 2),
  delayMs,
  lonely: waitOf("lonely"),
  crowded: waitOf("crowded"),
  bar: "ratio >= 2, lonely.ratio <= 1, crowded.ratio <= 1",
});
