/** A model over batches of files, in the engine's process: read, encode, run, decode. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidInputError, messageOf, type Fault } from "../../contract/errors.ts";
import type { ModelInput, Provider } from "../../contract/model-manifest.ts";
import type { ModelFolder } from "../../platform/models/model-folder.ts";
import type { Failure } from "../result/outcome.ts";
import { createDecoder, type Decoder } from "./decode.ts";
import { BytesEncoder } from "./encode-bytes.ts";
import { JsonEncoder } from "./encode-json.ts";
import { TextEncoder } from "./encode-text.ts";
import type { Encoder } from "./encoder.ts";
import type { FileAnswer, FileToRead, Refusal } from "./engine-protocol.ts";
import type { FileContent, InputFiles } from "./input-file.ts";
import { fitFaults, fixedRows, outputFault } from "./model-fit.ts";
import { faultOf, oneLine, openSession, type OnnxOutput, type OnnxSession } from "./onnx.ts";

/** The model cannot be used: not by this provider, or not at all. */
export class ModelRefused extends Error {
  readonly faults: readonly Fault[];
  readonly refusals: readonly Refusal[];
  readonly isMemory: boolean;

  constructor(faults: readonly Fault[], refusals: readonly Refusal[], isMemory = false) {
    super("the model cannot be used");
    this.name = "ModelRefused";
    this.faults = faults;
    this.refusals = refusals;
    this.isMemory = isMemory;
  }
}

export interface BatchDone {
  readonly answers: readonly FileAnswer[];
  readonly runMs: number;
  readonly rows: number;
}

/** `row`: it is one of the batch, in their order. */
interface ReadFile {
  readonly said: "row" | "same" | Failure;
  readonly sha256: string | null;
  readonly bytes: number | null;
}

export class OnnxTask {
  readonly session: OnnxSession;
  readonly refusals: readonly Refusal[];
  /** The most rows of a batch: what the manifest allows, what its bytes allow, what the model itself takes. */
  readonly mostRows: number;
  readonly #model: ModelFolder;
  readonly #files: InputFiles;
  readonly #encoder: Encoder;
  readonly #decode: Decoder;
  readonly #fixedRows: number | undefined;

  private constructor(
    model: ModelFolder,
    files: InputFiles,
    opened: { session: OnnxSession; refusals: readonly Refusal[] },
  ) {
    const { manifest, labels } = model;
    this.#model = model;
    this.#files = files;
    this.session = opened.session;
    this.refusals = opened.refusals;
    const typeOf = (tensor: string) => this.session.inputs.find(({ name }) => name === tensor)?.type ?? "float32";
    this.#encoder = createEncoder(model, manifest.input, typeOf);
    this.#decode = createDecoder(manifest, labels);
    this.#fixedRows = fixedRows(this.session.inputs);
    const { max_rows: maxRows, max_bytes: maxBytes } = manifest.batch;
    this.mostRows = this.#fixedRows ?? Math.max(1, Math.min(maxRows, Math.floor(maxBytes / this.#encoder.rowBytes)));
  }

  /** Opens the model with the first provider that takes it. @throws {ModelRefused} */
  static async open(model: ModelFolder, providers: readonly Provider[], files: InputFiles): Promise<OnnxTask> {
    const { manifest, labels, folder } = model;
    const opened = await openSession(join(folder, manifest.model.file), providers, manifest.engine.threads);
    if (opened.kind === "refused") {
      const found = oneLine(messageOf(opened.last));
      const fault = { where: "model.file", expected: `a model that ${providers.join(" or ")} can run`, found };
      throw new ModelRefused([fault], opened.refusals, faultOf(opened.last) === "out-of-memory");
    }
    const faults = fitFaults(manifest, opened.session, labels);
    if (faults.length === 0) return new OnnxTask(model, files, opened);
    await opened.session.release();
    throw new ModelRefused(faults, opened.refusals);
  }

  /**
   * Runs the largest batch once, of empty rows, so that the memory it takes is taken before the first file. Halves it
   * where memory does not do; the rows that fitted. @throws {ModelRefused}
   */
  async warmUp(rows: number): Promise<number> {
    const { manifest, labels } = this.#model;
    for (let fitting = this.#fixedRows ?? rows; ; fitting = Math.floor(fitting / 2)) {
      try {
        this.#encoder.begin(fitting);
        const { dims } = await this.#run(fitting);
        const fault = outputFault(manifest, dims, this.#fixedRows ?? fitting, labels);
        if (fault !== undefined) throw new ModelRefused([fault], this.refusals);
        return fitting;
      } catch (error) {
        if (error instanceof ModelRefused) throw error;
        const isMemory = faultOf(error) === "out-of-memory";
        if (isMemory && fitting > 1 && this.#fixedRows === undefined) continue;
        const expected = `a model that runs over a batch of ${fitting}`;
        const fault = { where: "model.file", expected, found: oneLine(messageOf(error)) };
        throw new ModelRefused([fault], this.refusals, isMemory);
      }
    }
  }

  /** One answer for each file, in their order. Throws what the runtime throws: then none has an answer. */
  async runBatch(files: readonly FileToRead[]): Promise<BatchDone> {
    const read = this.#read(files);
    const rows = read.filter(({ said }) => said === "row").length;
    const startedMs = performance.now();
    const output = rows === 0 ? undefined : await this.#run(rows);
    const runMs = performance.now() - startedMs;
    let row = 0;
    const answers = read.map(({ said, sha256, bytes }): FileAnswer => {
      if (said === "same") return { kind: "same" };
      const told = said !== "row" ? said : output === undefined ? noOutput() : this.#said(output, row++);
      if ("class" in told) return { kind: "failure", sha256, bytes, class: told.class, message: told.message };
      return { kind: "answer", sha256: sha256 ?? "", bytes: bytes ?? 0, inference: told };
    });
    return { answers, runMs, rows };
  }

  #said(output: OnnxOutput, row: number): ReturnType<Decoder> {
    return this.#decode(output, row, this.#encoder.filled?.(row));
  }

  #read(files: readonly FileToRead[]): ReadFile[] {
    this.#encoder.begin(this.#fixedRows ?? files.length);
    let row = 0;
    return files.map(({ placeId, path, known }) => {
      const read = this.#files.read(placeId, path, (content: FileContent): ReadFile => {
        const { sha256, bytes } = content;
        if (sha256 === known) return { said: "same", sha256, bytes };
        const failure = this.#encode(row, content);
        if (failure !== null) return { said: failure, sha256, bytes };
        row += 1;
        return { said: "row", sha256, bytes };
      });
      return "class" in read ? { said: read, sha256: null, bytes: null } : read;
    });
  }

  /** What goes wrong here is this file's, or ours: the others of its batch have nothing to do with it. */
  #encode(row: number, content: FileContent): Failure | null {
    try {
      return this.#encoder.add(row, content);
    } catch (error) {
      if (faultOf(error) === "out-of-memory") throw error;
      return { class: "infrastructure", message: `could not make an input of the file: ${messageOf(error)}` };
    }
  }

  #run(rows: number): Promise<OnnxOutput> {
    return this.session.run(this.#encoder.feeds(this.#fixedRows ?? rows), this.#model.manifest.output.tensor);
  }
}

function noOutput(): never {
  throw new TypeError("expected an output for the rows of a batch");
}

function createEncoder(model: ModelFolder, input: ModelInput, typeOf: (tensor: string) => string): Encoder {
  switch (input.kind) {
    case "bytes":
      return new BytesEncoder(input, typeOf(input.tensor));
    case "json":
      return new JsonEncoder(input, typeOf);
    case "text": {
      const tokenizer = readJson(model, "input.tokenizer.file", input.tokenizer.file);
      const config = input.tokenizer_config;
      const settings = config === undefined ? {} : readJson(model, "input.tokenizer_config.file", config.file);
      return new TextEncoder(input, { tokenizer, config: settings }, typeOf);
    }
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
