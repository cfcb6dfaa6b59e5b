/** A model over batches of files, in the engine's process: read, encode, run, decode. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import { batchLimitsFor, type BatchLimits, type Provider, type TensorManifest } from "../../contract/model-manifest.ts";
import type { ModelFolder } from "../../platform/models/model-folder.ts";
import { answersOf, readBatch, rowsOf, type BatchDone } from "./batch-files.ts";
import { createDecoder, type Decoder, type RowOutput } from "./decode.ts";
import { createPluginDecoder } from "./decode-plugin.ts";
import { BytesEncoder } from "./encode-bytes.ts";
import { JsonEncoder } from "./encode-json.ts";
import { PluginEncoder } from "./encode-plugin.ts";
import { TextEncoder } from "./encode-text.ts";
import type { Encoder } from "./encoder.ts";
import type { FileToRead, Refusal, TensorFacts } from "./engine-protocol.ts";
import type { InputFiles } from "./input-file.ts";
import { fitFaults, fixedRows, outputFault, outputsOf } from "./model-fit.ts";
import { openPlugin } from "./model-plugin.ts";
import { fittingRows, ModelRefused, openModel, tryStrangest, type ModelTask, type OpenedModel } from "./model-task.ts";
import type { OnnxOutput, OnnxSession } from "./onnx.ts";
import { rowsWithin, turnsOf, type RowLengths } from "./row-lengths.ts";

/** A model whose tasks read rows of tensors. */
export type TensorModel = ModelFolder & { readonly manifest: TensorManifest };

export class OnnxTask implements ModelTask {
  readonly session: OnnxSession;
  readonly refusals: readonly Refusal[];
  /** The most rows of a batch: what the manifest allows, what its bytes allow, what the model itself takes. */
  readonly mostRows: number;
  readonly lengths: RowLengths | undefined;
  readonly #model: TensorModel;
  readonly #files: InputFiles;
  readonly #encoder: Encoder;
  readonly #decode: Decoder;
  readonly #outputs: readonly string[];
  readonly #fixedRows: number | undefined;

  private constructor(
    model: TensorModel,
    files: InputFiles,
    { opened, encoder, decode }: { opened: OpenedModel; encoder: Encoder; decode: Decoder },
  ) {
    const { manifest } = model;
    this.#model = model;
    this.#files = files;
    this.session = opened.session;
    this.refusals = opened.refusals;
    this.#encoder = encoder;
    this.#decode = decode;
    this.#outputs = outputsOf(manifest).map(({ name }) => name);
    this.#fixedRows = fixedRows(this.session.inputs);
    const limits = batchLimitsFor(manifest, this.session.provider);
    const { lengths, rowBytes } = encoder;
    this.lengths = lengths && { ...lengths, ...this.#limitsOf(limits, rowBytes / lengths.longest) };
    this.mostRows =
      this.lengths === undefined
        ? (this.#fixedRows ?? Math.max(1, Math.min(limits.maxRows, Math.floor(limits.maxBytes / rowBytes))))
        : rowsWithin(this.lengths, this.lengths.longest);
  }

  /** Opens the model with the first provider that takes it. @throws {ModelRefused} */
  static async open(model: TensorModel, providers: readonly Provider[], files: InputFiles): Promise<OnnxTask> {
    const { manifest, labels } = model;
    const opened = await openModel(model, providers, (session) => fitFaults(manifest, session, labels));
    const encoder = await createEncoder(model, opened.session.inputs);
    return new OnnxTask(model, files, { opened, encoder, decode: await openDecoder(model, opened.session.outputs) });
  }

  /** So that the memory of a batch is taken before the first file. */
  async warmUp(rows: number, mostMs: number): Promise<number> {
    const { manifest, labels } = this.#model;
    const limits = { refusals: this.refusals, isFixed: this.#fixedRows !== undefined, mostMs };
    const fits = await fittingRows(this.#fixedRows ?? rows, limits, async (fitting) => {
      this.#encoder.begin(fitting);
      for (let row = 0; row < fitting; row += 1) this.#encoder.addLargest?.(row);
      const outputs = await this.#run(fitting);
      const fault = outputFault(manifest, outputs, this.#fixedRows ?? fitting, labels);
      if (fault !== undefined) throw new ModelRefused([fault], this.refusals);
    });
    await this.#tryStrangest();
    return fits;
  }

  async #tryStrangest(): Promise<void> {
    const rows = this.#fixedRows ?? 1;
    this.#encoder.begin(rows);
    const fault = this.#encoder.addStrangest?.(0);
    if (fault === undefined) return;
    await tryStrangest(fault, this.refusals, () => this.#run(rows));
  }

  async runBatch(files: readonly FileToRead[]): Promise<BatchDone> {
    this.#encoder.begin(this.#fixedRows ?? files.length);
    const read = readBatch(this.#files, files, (row, content) => this.#encoder.add(row, content));
    const rows = rowsOf(read);
    // Parts of long files go in turns of as many rows as the batch has files: memory is known to do for so many.
    const most = this.#fixedRows ?? files.length;
    const tokens = Array.from({ length: rows }, (_, row) => this.#encoder.filled?.(row) ?? 0);
    const startedMs = performance.now();
    const said: RowOutput[] = [];
    const turns = turnsOf(tokens, { most, maxTokens: this.lengths?.maxTokens ?? Infinity });
    for (const { from, count } of turns) {
      const outputs = await this.#run(count, from);
      for (let row = 0; row < count; row += 1) said.push({ outputs, row, filled: this.#encoder.filled?.(from + row) });
    }
    const runMs = performance.now() - startedMs;
    const answers = answersOf(read, (row, count) => this.#decode(said.slice(row, row + count)));
    const hasTurns = turns.length > 1 || rows > files.length;
    const done = { answers, runMs, rows: Math.max(0, ...turns.map(({ count }) => count)), hasTurns };
    if (this.lengths === undefined) return done;
    const sum = tokens.reduce((all, filled) => all + filled, 0);
    return { ...done, longest: Math.max(0, ...tokens), tokens: { in: sum, out: 0 } };
  }

  #limitsOf({ maxRows, maxBytes, maxTokens }: BatchLimits, tokenBytes: number) {
    // A model that takes no other number of rows gets that number, however long they are.
    if (this.#fixedRows !== undefined) return { maxRows: this.#fixedRows, maxTokens: Infinity };
    return { maxRows, maxTokens: Math.min(maxTokens, Math.floor(maxBytes / tokenBytes)) };
  }

  #run(rows: number, from = 0): Promise<OnnxOutput[]> {
    return this.session.run(this.#encoder.feeds(this.#fixedRows ?? rows, from), this.#outputs);
  }
}

async function createEncoder(model: TensorModel, inputs: readonly TensorFacts[]): Promise<Encoder> {
  const { input } = model.manifest;
  const typeOf = (tensor: string) => inputs.find(({ name }) => name === tensor)?.type ?? "float32";
  switch (input.kind) {
    case "image": {
      // Its decoder takes time and memory to load that models of other inputs need not pay.
      const { ImageEncoder } = await import("./encode-image.ts");
      return new ImageEncoder(input, typeOf(input.tensor));
    }
    case "plugin": {
      const named = input.tensors.map(({ tensor }) => tensor);
      const reader = await openPlugin(model, { ...input, role: "input" }, factsOf(inputs, named));
      return new PluginEncoder(input, reader, typeOf);
    }
    case "bytes":
      return new BytesEncoder(input, typeOf(input.tensor));
    case "json":
      return new JsonEncoder(input, typeOf);
    case "text": {
      const tokenizer = readJson(model, "input.tokenizer.file", input.tokenizer.file);
      const config = input.tokenizer_config;
      const settings = config === undefined ? {} : readJson(model, "input.tokenizer_config.file", config.file);
      return textEncoder(model, () => new TextEncoder(input, { tokenizer, config: settings }, typeOf));
    }
  }
}

async function openDecoder({ manifest, ...model }: TensorModel, outputs: readonly TensorFacts[]): Promise<Decoder> {
  if (manifest.task !== "custom") return createDecoder(manifest, model.labels);
  const { tensors } = manifest.output;
  const plugin = { ...manifest.output, role: "output" as const };
  return createPluginDecoder(await openPlugin({ ...model, manifest }, plugin, factsOf(outputs, tensors)), tensors);
}

function factsOf(tensors: readonly TensorFacts[], names: readonly string[]): TensorFacts[] {
  return names.flatMap((name) => tensors.find((tensor) => tensor.name === name) ?? []);
}

function textEncoder({ folder }: ModelFolder, make: () => TextEncoder): TextEncoder {
  try {
    return make();
  } catch (error) {
    const expected = "a tokenizer.json of Hugging Face";
    const fault = { where: "input.tokenizer.file", expected, found: `another: ${messageOf(error)}` };
    throw new InvalidInputError(`model ${folder}`, [fault], { cause: error });
  }
}

function readJson({ folder }: ModelFolder, where: string, file: string): object {
  const fault = (found: string) =>
    new InvalidInputError(`model ${folder}`, [{ where, expected: "a file of JSON with a mapping", found }]);
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, file), "utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    throw fault(messageOf(error));
  }
  throw fault("something else");
}
