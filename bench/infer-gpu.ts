/**
 * Bars, where a card is: the small Llama at five times the speed of the CPU; the same logits as the CPU's to 1e-3; and a
 * card that another process has filled is no end: batches get smaller, every file has its answer. Where no card is it says so.
 */
import { hash } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parse, stringify } from "yaml";
import { makeDocuments } from "../scripts/models/documents/documents.ts";
import { exampleOf } from "../scripts/models/llama/answers.ts";
import { loadLlamaConfig } from "../scripts/models/llama/config.ts";
import { exportLoop } from "../scripts/models/llama/export-loop.ts";
import { loadSafetensors } from "../scripts/models/llama/safetensors.ts";
import { MiB } from "../src/contract/resources.ts";
import { inputSpec } from "../src/contract/run-spec.ts";
import type { Provider } from "../src/contract/model-manifest.ts";
import { hasNvidiaDriver } from "../src/platform/nvidia.ts";
import type { EngineSettings } from "../src/worker/inference/engine-port.ts";
import type { FileAnswer } from "../src/worker/inference/engine-protocol.ts";
import { cacheNames } from "../src/worker/inference/generation/decode.ts";
import { int64s, type Tensors } from "../src/worker/inference/generation/session.ts";
import { openSession } from "../src/worker/inference/onnx.ts";
import { CardHog } from "../tests/support/card-hog.ts";
import { Scratch } from "../tests/support/scratch.ts";
import { hungryModel, modelFolder } from "../tests/support/tiny-onnx.ts";
import { openBenchEngine } from "./shared/bench-engine.ts";
import { report, round } from "./shared/support.ts";

const FILES = Number(process.env["BENCH_FILES"] ?? 4_096);
const CARD_ROWS = 512;
/** Of the model that takes much memory: too many on purpose. */
const HUNGRY_ROWS = 1_024;
const LLAMA = resolve("models/extract-llama");
const SEED = 91;

// As in engines: this process opens sessions of its own for the logits.
process.env["NVIDIA_TF32_OVERRIDE"] ??= "0";

using scratch = new Scratch();
const root = scratch.folder("in");
const examples = makeDocuments(FILES, SEED).map(exampleOf);
const paths = examples.map(({ text }, at) => {
  writeFileSync(join(root, `f${at}`), text);
  return `f${at}`;
});

/** The shipped Llama with batches as a card wants them, its plain graph or the one that holds the loop. */
function llama(
  name: string,
  { file, rows, threads = 1 }: { file?: Uint8Array; rows: number; threads?: number },
): string {
  const folder = join(scratch.path, name);
  cpSync(LLAMA, folder, { recursive: true });
  const path = join(folder, "model.yaml");
  const manifest = parse(readFileSync(path, "utf8")) as { model: { file: string; sha256: string } };
  const { model } = manifest;
  if (file === undefined) manifest.model = { file: model.file, sha256: model.sha256 };
  else {
    writeFileSync(join(folder, "model.onnx"), file);
    manifest.model = { file: "model.onnx", sha256: hash("sha256", file, "hex") };
  }
  writeFileSync(path, stringify({ ...manifest, batch: { max_rows: rows, max_bytes: "1GiB" }, engine: { threads } }));
  return folder;
}

interface Pass {
  readonly filesPerSecond: number;
  readonly answers: ReadonlyMap<number, FileAnswer>;
}

async function pass(bench: ReturnType<typeof openBenchEngine>, files: readonly string[], from = root): Promise<Pass> {
  await bench.engine.ready();
  const input = inputSpec.parse({ kind: "tree", root: from });
  const placeId = bench.engine.addPlace({ input, inputRules: { minBytes: 0 }, inputRoot: undefined });
  const answers = new Map<number, FileAnswer>();
  const startedMs = performance.now();
  await new Promise<void>((done, failed) => {
    bench.engine.submit({
      ...{ placeId, paths: files, onBroken: failed },
      onAnswers: (told) => {
        for (const { at, answer } of told) answers.set(at, answer);
        if (answers.size === files.length) done();
      },
    });
  });
  const filesPerSecond = (files.length * 1_000) / (performance.now() - startedMs);
  bench.engine.removePlace(placeId);
  return { filesPerSecond, answers };
}

const exactOf = ({ answers }: Pass) =>
  [...answers].filter(
    ([at, answer]) =>
      answer.kind === "answer" &&
      answer.inference.value.task === "generate" &&
      JSON.stringify(answer.inference.value.answer) === examples[at]?.answer,
  ).length / answers.size;

/** Twice over the files: the second time the best size of a batch is known. */
async function speed(folder: string, settings: EngineSettings, files = paths) {
  await using bench = openBenchEngine(folder, settings);
  await pass(bench, files);
  bench.batches.length = 0;
  const second = await pass(bench, files);
  const rows = bench.batches.toSorted((a, b) => a - b);
  const { placement, refusals = [] } = bench.engine.facts.loaded ?? {};
  return {
    filesPerSecond: round(second.filesPerSecond, 1),
    exact: round(exactOf(second), 4),
    batch: rows[rows.length >> 1],
    placement,
    refusals,
  };
}

const PROMPTS = 8;
const PROMPT_TOKENS = 96;

/** The largest difference of any logit or cache entry between a provider and the CPU, over one prefill. */
async function parity(provider: Provider): Promise<number> {
  const config = loadLlamaConfig(join(LLAMA, "config.json"));
  const dims = [PROMPTS, PROMPT_TOKENS];
  const cells = PROMPTS * PROMPT_TOKENS;
  const range = Array.from({ length: cells }, (_, at) => at);
  const cache = cacheNames(config.num_hidden_layers).map(([past]) => [
    past,
    { type: "float32", data: new Float32Array(0), dims: [PROMPTS, config.num_key_value_heads, 0, config.head_dim] },
  ]);
  const feeds: Tensors = {
    ...(Object.fromEntries(cache) as Tensors),
    input_ids: int64s(
      range.map((at) => 6 + ((at * 37) % 1_500)),
      dims,
    ),
    attention_mask: int64s(
      range.map(() => 1),
      dims,
    ),
    position_ids: int64s(
      range.map((at) => at % PROMPT_TOKENS),
      dims,
    ),
  };
  const [mine, cpu] = [await outputsOf(provider, feeds), await outputsOf("cpu", feeds)];
  let largest = 0;
  for (const [name, { data }] of Object.entries(cpu)) {
    for (const [at, value] of data.entries()) {
      largest = Math.max(largest, Math.abs(Number(value) - Number(mine[name]?.data[at])));
    }
  }
  return largest;
}

async function outputsOf(provider: Provider, feeds: Tensors): Promise<Tensors> {
  const opened = await openSession(() => join(LLAMA, "model.onnx"), [provider], 1);
  if (opened.kind === "refused") throw new Error(`${provider}: ${String(opened.last)}`);
  const outputs = await opened.session.runAll(feeds);
  await opened.session.release();
  return outputs;
}

const SMALL_FILES = 2_000;
/** Of the card, for the engine: its own context takes about a quarter of it. */
const LEFT_BYTES = 2_000 * MiB;

/** The card filled by another process before the engine comes, and while it is at work. */
async function recovery(provider: Provider) {
  const from = scratch.folder("small");
  const files = Array.from({ length: SMALL_FILES }, (_, at) => `s${at}`);
  for (const [at, path] of files.entries()) writeFileSync(join(from, path), Buffer.from([1 + (at % 15)]));
  const folder = modelFolder(scratch, `hungry-${provider}`, hungryModel(), {
    task: "regress",
    input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 2_000 }] },
    output: { tensor: "y" },
    batch: { max_rows: HUNGRY_ROWS, max_bytes: "1GiB" },
  });
  const settings: EngineSettings = { providers: [provider], warmRows: 1 };
  const right = ({ answers }: Pass) =>
    [...answers].filter(
      ([at, { ...answer }]) =>
        answer.kind === "answer" &&
        answer.inference.value.task === "regress" &&
        JSON.stringify(answer.inference.value.values) === `[${(1 + (at % 15)) ** 2}]`,
    ).length;
  await using forced = openBenchEngine(folder, { ...settings, fixedRows: HUNGRY_ROWS });
  await using bench = openBenchEngine(folder, settings);
  const free = await pass(bench, files, from);
  const figures: Record<string, unknown> = { filesPerSecondFree: round(free.filesPerSecond) };
  {
    await using _hog = await CardHog.start(LEFT_BYTES);
    const filled = await pass(forced, files, from);
    figures["failuresToCeiling"] = forced.shortages();
    figures["batchesFilled"] = [...new Set(forced.batches)];
    const again = await pass(forced, files, from);
    figures["failuresAfter"] = forced.shortages() - Number(figures["failuresToCeiling"]);
    figures["right"] = round((right(filled) + right(again)) / (2 * SMALL_FILES), 4);
    figures["filesPerSecondFilled"] = round(again.filesPerSecond);
    figures["restarts"] = forced.restarts;
  }
  const after = await pass(forced, files, from);
  figures["filesPerSecondAfter"] = round(after.filesPerSecond);
  return figures;
}

if (!hasNvidiaDriver()) {
  report("infer-gpu", { skipped: "there is no NVIDIA driver here" });
} else {
  const weights = loadSafetensors(join(LLAMA, "model.safetensors"));
  const loop = exportLoop(weights, loadLlamaConfig(join(LLAMA, "config.json")));
  const fewer = paths.slice(0, Math.ceil(FILES / 8));
  const cores = availableParallelism();
  const cpu = await speed(llama("cpu", { rows: 32 }), { providers: ["cpu"] }, fewer);
  const cpuAll = await speed(llama("cpu-all", { rows: 64, threads: cores }), { providers: ["cpu"] }, fewer);
  report("infer-gpu", { provider: "cpu", oneThread: cpu, [`threads${cores}`]: cpuAll });
  for (const provider of ["cuda", "webgpu"] as const) {
    try {
      const settings = { providers: [provider] };
      const plain = await speed(llama(`${provider}-plain`, { rows: CARD_ROWS }), settings);
      report("infer-gpu", {
        provider,
        way: "token by token",
        ...plain,
        ratio: round(plain.filesPerSecond / cpu.filesPerSecond),
      });
      const inGraph = await speed(llama(`${provider}-loop`, { file: loop, rows: CARD_ROWS }), settings);
      report("infer-gpu", {
        provider,
        way: "in one graph",
        ...inGraph,
        ratio: round(inGraph.filesPerSecond / cpu.filesPerSecond),
      });
      report("infer-gpu", { provider, maxDifference: await parity(provider) });
      report("infer-gpu", { provider, ...(await recovery(provider)) });
    } catch (error) {
      report("infer-gpu", { provider, failed: String(error) });
    }
  }
}
