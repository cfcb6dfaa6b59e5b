/** A language model over batches of files, in the engine's process: one JSON answer for each file. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FaultsError, faultsLine, InvalidInputError, messageOf } from "../../contract/errors.ts";
import type { FileInference } from "../../contract/inference.ts";
import type { JsonSchema } from "../../contract/json-schema.ts";
import { batchLimitsFor, type GenerateManifest, type Provider } from "../../contract/model-manifest.ts";
import { field } from "../../contract/schema-faults.ts";
import type { ModelFolder } from "../../platform/models/model-folder.ts";
import { badInput, type Failure } from "../result/outcome.ts";
import { answersOf, readBatch, type BatchDone } from "./batch-files.ts";
import { textOf } from "./decode-text.ts";
import type { FileToRead, Refusal } from "./engine-protocol.ts";
import { parseDecoderConfig } from "./generation/decoder-config.ts";
import { generationFaults } from "./generation/generation-fit.ts";
import {
  Generator,
  type AnswerWish,
  type CutAnswer,
  type GeneratedAnswer,
  type PromptRow,
} from "./generation/generator.ts";
import { parsePromptTemplate, type PromptTemplate } from "./generation/prompt-template.ts";
import { TextCodec } from "./generation/text-codec.ts";
import type { FileContent, InputFiles } from "./input-file.ts";
import { fittingRows, ModelRefused, openModel, tryStrangest, type ModelTask, type OpenedModel } from "./model-task.ts";
import type { OnnxSession } from "./onnx.ts";
import { rowsWithin, turnsOf, type RowLengths } from "./row-lengths.ts";
import { largestId, strangestToken } from "./tokenizer.ts";

/** A folder whose task is to generate. */
export type GenerateModel = ModelFolder & { readonly manifest: GenerateManifest };

/** Ids, mask and positions of 64 bits. */
const TOKEN_BYTES = 24;

export class GenerateTask implements ModelTask {
  readonly session: OnnxSession;
  readonly refusals: readonly Refusal[];
  readonly mostRows: number;
  readonly lengths: RowLengths;
  readonly #manifest: GenerateManifest;
  readonly #files: InputFiles;
  readonly #template: PromptTemplate;
  readonly #generator: Generator;
  readonly #largestId: number;
  readonly #vocabularySize: number;

  private constructor(model: GenerateModel, files: InputFiles, { session, refusals }: OpenedModel) {
    const { manifest } = model;
    this.session = session;
    this.refusals = refusals;
    this.#manifest = manifest;
    this.#files = files;
    this.#template = parsePromptTemplate(read(model, manifest.input.template.file));
    const { shape, contextTokens } = configOf(model);
    this.#vocabularySize = shape.vocabularySize;
    this.#largestId = largestId(json(model, manifest.input.tokenizer.file, "input.tokenizer.file"));
    this.#generator = new Generator({
      session: {
        inputNames: session.inputs.map(({ name }) => name),
        run: (feeds) => session.runAll(feeds),
      },
      codec: new TextCodec(
        read(model, manifest.input.tokenizer.file),
        read(model, manifest.input.tokenizer_config.file),
      ),
      shape,
      prompt: this.#template,
      schema: json(model, manifest.output.schema.file, "output.schema.file") as JsonSchema,
      contextTokens,
    });
    const { maxRows, maxBytes, maxTokens } = batchLimitsFor(manifest, session.provider);
    // Answers lie in the cache behind their prompts.
    const { answerTokens } = this.#generator;
    this.lengths = {
      base: this.#generator.promptOf("").length + answerTokens,
      longest: this.#generator.longestPrompt().length + answerTokens,
      fullBytes: Math.min(this.#template.max_chars, manifest.input.max_bytes),
      maxRows,
      maxTokens: Math.min(maxTokens, Math.floor(maxBytes / TOKEN_BYTES)),
    };
    this.mostRows = rowsWithin(this.lengths, this.lengths.longest);
  }

  /** Opens the model with the first provider that takes it. @throws {ModelRefused} {InvalidInputError} */
  static async open(model: GenerateModel, providers: readonly Provider[], files: InputFiles): Promise<GenerateTask> {
    const { shape } = configOf(model);
    const opened = await openModel(model, providers, (session) => generationFaults(session, shape));
    try {
      return new GenerateTask(model, files, opened);
    } catch (error) {
      await opened.session.release();
      throw error;
    }
  }

  /** With long prompts, so that the memory of a batch is taken before the first file. */
  async warmUp(rows: number, mostMs: number): Promise<number> {
    const fault = strangestToken(this.#largestId);
    if (this.#largestId >= this.#vocabularySize) {
      const found = `${fault.found}: config.json has a vocab_size of ${this.#vocabularySize}`;
      throw new ModelRefused([{ ...fault, found }], this.refusals);
    }
    await tryStrangest(fault, this.refusals, () => this.#generator.answer([[this.#largestId]]));
    const prompt = this.#generator.longestPrompt();
    return fittingRows(rows, { refusals: this.refusals, isFixed: false, mostMs }, async (fitting) => {
      await this.#generator.answer(Array.from({ length: fitting }, () => prompt));
    });
  }

  async runBatch(files: readonly FileToRead[]): Promise<BatchDone> {
    const rows: PromptRow[] = [];
    const readFiles = readBatch(this.#files, files, (_row, content, placeId) => {
      const row = this.#rowOf(content, placeId);
      if ("class" in row) return row;
      rows.push(row);
      return 1;
    });
    const lengths = rows.map((row) => row.tokens.length + this.#generator.limitOf(row));
    const turns = turnsOf(lengths, { most: files.length, maxTokens: this.lengths.maxTokens });
    const startedMs = performance.now();
    const answers: (GeneratedAnswer | CutAnswer)[] = [];
    for (const { from, count } of turns) {
      answers.push(...(await this.#generator.answerRows(rows.slice(from, from + count))));
    }
    const runMs = performance.now() - startedMs;
    return {
      answers: answersOf(readFiles, (row) => this.#said(rows[row], answers[row])),
      runMs,
      rows: Math.max(0, ...turns.map(({ count }) => count)),
      hasTurns: turns.length > 1,
      // What other schemas ask for says nothing of files by the model's own.
      longest: Math.min(this.lengths.longest, Math.max(0, ...lengths)),
      tokens: {
        in: rows.reduce((sum, { tokens }) => sum + tokens.length, 0),
        out: answers.reduce((sum, answer) => sum + ("cutAfter" in answer ? answer.cutAfter : answer.tokens), 0),
      },
    };
  }

  #rowOf(content: FileContent, placeId: number): PromptRow | Failure {
    const { input } = this.#manifest;
    const text = textOf(content, input);
    if (typeof text !== "string") return text;
    const { max_chars: maxChars } = this.#template;
    if (text.length > maxChars && input.too_long === "fail") {
      return badInput(`expected a text of at most ${maxChars} characters, found ${text.length}`);
    }
    const wish = this.#wishOf(placeId);
    if ("class" in wish) return wish;
    try {
      return { tokens: this.#generator.promptOf(text, wish), wish };
    } catch (error) {
      if (!(error instanceof FaultsError)) throw error;
      return badInput(messageOf(error));
    }
  }

  /** By the schema of the run, where it has one. */
  #wishOf(placeId: number): AnswerWish | Failure {
    const answer = this.#files.answerOf(placeId);
    if (answer === undefined) return this.#generator.own;
    try {
      return this.#generator.wishFor(answer);
    } catch (error) {
      if (!(error instanceof FaultsError)) throw error;
      return { class: "policy", message: faultsLine(error.faults) };
    }
  }

  #said(row: PromptRow | undefined, answer: GeneratedAnswer | CutAnswer | undefined): FileInference | Failure {
    if (row === undefined || answer === undefined) throw new TypeError("expected an answer for every row of a batch");
    if ("cutAfter" in answer) {
      const expected = `an answer that is whole after ${answer.cutAfter} tokens at most`;
      return { class: "budget", message: `expected ${expected}, found one that was not: it was cut off` };
    }
    const { label } = this.#manifest.output;
    const found = label === undefined ? undefined : field(answer.value, label);
    return {
      label: found === undefined ? null : typeof found === "string" ? found : JSON.stringify(found),
      confidence: Math.round(answer.confidence * 1e6) / 1e6,
      value: { task: "generate", answer: answer.value, tokens: { in: row.tokens.length, out: answer.tokens } },
    };
  }
}

function read({ folder }: ModelFolder, file: string): string {
  return readFileSync(join(folder, file), "utf8");
}

function json(model: ModelFolder, file: string, where: string): object {
  let value: unknown;
  try {
    value = JSON.parse(read(model, file));
  } catch (cause) {
    throw noMapping(model, where, messageOf(cause), cause);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw noMapping(model, where, "something else");
}

function noMapping({ folder }: ModelFolder, where: string, found: string, cause?: unknown): InvalidInputError {
  const fault = { where, expected: "a file of JSON with a mapping", found };
  return new InvalidInputError(`model ${folder}`, [fault], { cause });
}

function configOf(model: GenerateModel) {
  return parseDecoderConfig(json(model, model.manifest.config.file, "config.file"));
}
