/**
 * Bars: an engine for which memory does not do, by a real limit (`prlimit --as`) and the runtime's real allocator. Every
 * file is answered; batches fail six times at most until they fit; after that it is as fast as the best batch that fits,
 * but for a tenth. The same where the engine is killed in the middle, or aborts since an answer could not be copied.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inputSpec } from "../src/contract/run-spec.ts";
import { MiB } from "../src/contract/resources.ts";
import type { FileAnswer } from "../src/worker/inference/engine-protocol.ts";
import type { ModelEngine } from "../src/worker/inference/model-engine.ts";
import { Scratch } from "../tests/support/scratch.ts";
import { generousModel, hungryModel, modelFolder } from "../tests/support/tiny-onnx.ts";
import { openBenchEngine, type BenchEngine } from "./shared/bench-engine.ts";
import { median, report, round } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 600);
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3);
/** Node and the runtime take about 1,050 MiB of it; a file takes 16 MiB. */
const LIMIT = ["prlimit", `--as=${1_500 * MiB}`];
const WIDTH = 2_000;
const MOST_ROWS = 256;

using scratch = new Scratch();
const root = join(scratch.path, "in");
mkdirSync(root);
const paths = Array.from({ length: FILES }, (_, at) => `f${at}`);
for (const [at, path] of paths.entries()) writeFileSync(join(root, path), Buffer.from([1 + (at % 15)]));
const shared = { input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: WIDTH }] } };
const batch = { max_rows: MOST_ROWS, max_bytes: "1GiB" };
const hungry = modelFolder(scratch, "hungry", hungryModel(), {
  ...{ ...shared, batch, task: "regress" },
  output: { tensor: "y" },
});
const generous = modelFolder(scratch, "generous", generousModel(), {
  ...{ ...shared, batch, task: "embed" },
  output: { tensor: "y", pool: "first", normalize: false },
});

/** The square of the byte in a file, as either model says it. */
function valueOf(answer: FileAnswer): number {
  if (answer.kind !== "answer") throw new Error(`expected an answer, found ${JSON.stringify(answer)}`);
  const { value } = answer.inference;
  if (value.task === "embed") return Buffer.from(value.vector, "base64").readFloatLE(0);
  if (value.task !== "regress" || !Array.isArray(value.values)) throw new Error(`found ${value.task}`);
  return value.values[0] ?? Number.NaN;
}

/** Hands all files over; files per second. Each must have its own answer, once. @throws when one has another */
async function pass(engine: ModelEngine, onSome = (_answered: number): void => undefined): Promise<number> {
  await engine.ready();
  const input = inputSpec.parse({ kind: "tree", root });
  const placeId = engine.addPlace({ input, inputRules: { minBytes: 0 }, inputRoot: undefined });
  const answers = new Map<number, number>();
  const startedMs = performance.now();
  await new Promise<void>((done, failed) => {
    engine.submit({
      ...{ placeId, paths, onBroken: failed },
      onAnswers: (told) => {
        try {
          for (const { at, answer } of told) {
            if (answers.has(at)) throw new Error(`expected one answer for ${paths[at] ?? ""}, found two`);
            answers.set(at, valueOf(answer));
          }
        } catch (error) {
          failed(error instanceof Error ? error : new Error(String(error)));
        }
        onSome(answers.size);
        if (answers.size === FILES) done();
      },
    });
  });
  const seconds = (performance.now() - startedMs) / 1_000;
  engine.removePlace(placeId);
  const wrong = [...answers].filter(([at, value]) => value !== (1 + (at % 15)) ** 2);
  if (wrong.length > 0) throw new Error(`expected the square of each byte, found ${JSON.stringify(wrong.slice(0, 3))}`);
  return FILES / seconds;
}

/** The sizes of which a batch fits: each tried in an engine that begins with it. */
async function fitting(): Promise<number[]> {
  const fits: number[] = [];
  for (let rows = 1; rows <= MOST_ROWS; rows *= 2) {
    await using probe = openBenchEngine(hungry, { prefix: LIMIT, warmRows: 1, fixedRows: rows });
    await pass(probe.engine);
    if (probe.shortages() > 0 || probe.restarts.length > 0) break;
    fits.push(rows);
  }
  return fits;
}

interface Speed {
  /** By the clock, which other programs slow down; and in a second of the engine's CPU time, to which they add nothing. */
  readonly filesPerSecond: number;
  readonly filesPerCpuSecond: number;
}

async function speed(engine: ModelEngine): Promise<Speed> {
  await engine.ready();
  const beforeMs = cpuMs(engine.facts.pid);
  const filesPerSecond = await pass(engine);
  return { filesPerSecond, filesPerCpuSecond: (FILES * 1_000) / (cpuMs(engine.facts.pid) - beforeMs) };
}

const TICK_MS = 10;

function cpuMs(pid = 0): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function recovery() {
  const sizes = await fitting();
  await using free = openBenchEngine(hungry, { prefix: LIMIT, warmRows: 1 });
  // As much too large as can be, so that the ceiling has to be found.
  await using forced = openBenchEngine(hungry, { prefix: LIMIT, warmRows: 1, fixedRows: MOST_ROWS });
  for (const { engine } of [free, forced]) await pass(engine);
  const failures = [free.shortages(), forced.shortages()];
  const fixed: { rows: number; engine: BenchEngine; speeds: Speed[] }[] = [];
  for (const rows of sizes) {
    const engine = openBenchEngine(hungry, { prefix: LIMIT, warmRows: 1, fixedRows: rows });
    await pass(engine.engine);
    fixed.push({ rows, engine, speeds: [] });
  }
  const own: Speed[] = [];
  for (let at = 0; at < ROUNDS; at += 1) {
    for (const { engine, speeds } of fixed) speeds.push(await speed(engine.engine));
    own.push(await speed(free.engine));
  }
  const against = (by: keyof Speed) => {
    const rateOf = (speeds: readonly Speed[]) => median(speeds.map((each) => each[by]));
    const [best] = fixed.toSorted((a, b) => rateOf(b.speeds) - rateOf(a.speeds));
    const [mine, bestRate] = [rateOf(own), rateOf(best?.speeds ?? [])];
    return { own: round(mine, 1), best: round(bestRate, 1), bestRows: best?.rows, ratio: round(mine / bestRate, 2) };
  };
  const figures = { filesPerSecond: against("filesPerSecond"), filesPerCpuSecond: against("filesPerCpuSecond") };
  for (const { engine } of fixed) await engine[Symbol.asyncDispose]();
  return {
    failuresToCeiling: Math.max(...failures),
    failuresLater: free.shortages() + forced.shortages() - failures.reduce((sum, count) => sum + count, 0),
    rowsThatFit: sizes.at(-1) ?? 0,
    ...figures,
  };
}

/** The engine is killed twice while it has files. */
async function killed() {
  await using bench = openBenchEngine(hungry, { prefix: LIMIT, warmRows: 1 });
  const { engine } = bench;
  let due = FILES / 3;
  await pass(engine, (answered) => {
    if (answered < due) return;
    due += FILES / 3;
    if (answered < FILES && engine.facts.pid !== undefined) process.kill(engine.facts.pid, "SIGKILL");
  });
  return { answered: FILES, deaths: bench.restarts.length };
}

/** Node ends itself where an array cannot be made for an answer. */
async function aborted() {
  await using bench = openBenchEngine(generous, {
    prefix: ["prlimit", `--as=${1_700 * MiB}`],
    warmRows: 1,
    fixedRows: 32,
  });
  await pass(bench.engine);
  return { answered: FILES, deaths: bench.restarts.length, shortages: bench.shortages() };
}

report("infer-memory", {
  files: FILES,
  rounds: ROUNDS,
  ...(await recovery()),
  killed: await killed(),
  aborted: await aborted(),
  bar: "failuresToCeiling <= 6, both ratios >= 0.9, every file answered once",
});
