/** The files of a batch on their way through a model: read in their order, each a row or a reason why it is none. */
import { messageOf } from "../../contract/errors.ts";
import type { FileInference } from "../../contract/inference.ts";
import type { Failure } from "../result/outcome.ts";
import type { FileAnswer, FileToRead, TokenCounts } from "./engine-protocol.ts";
import type { FileContent, InputFiles } from "./input-file.ts";
import { faultOf } from "./onnx.ts";

export interface BatchDone {
  /** One for each file, in their order. */
  readonly answers: readonly FileAnswer[];
  /** Time of the model alone. */
  readonly runMs: number;
  readonly rows: number;
  /** Rows went through the model in turns: what the batch took says little of others of its size. */
  readonly hasTurns?: boolean;
  /** Tokens of the longest row, of models whose rows differ in length. */
  readonly longest?: number | undefined;
  /** Of models that read tokens. */
  readonly tokens?: TokenCounts;
}

/** A number: it is so many rows of the batch, in their order. */
export interface ReadFile {
  readonly said: number | "same" | Failure;
  readonly sha256: string | null;
  readonly bytes: number | null;
}

/** Reads each file; `add` makes rows of its content, from `row` on, and says how many, or why it cannot be one. `placeId` is the file's. */
export function readBatch(
  inputs: InputFiles,
  files: readonly FileToRead[],
  add: (row: number, content: FileContent, placeId: number) => number | Failure,
): ReadFile[] {
  let row = 0;
  return files.map(({ placeId, path, known }) => {
    const read = inputs.read(placeId, path, (content: FileContent): ReadFile => {
      const { sha256, bytes } = content;
      if (sha256 === known) return { said: "same", sha256, bytes };
      const said = added(() => add(row, content, placeId));
      if (typeof said === "number") row += said;
      return { said, sha256, bytes };
    });
    return "class" in read ? { said: read, sha256: null, bytes: null } : read;
  });
}

/** What goes wrong here is this file's, or ours: the others of its batch have nothing to do with it. */
function added(add: () => number | Failure): number | Failure {
  try {
    return add();
  } catch (error) {
    if (faultOf(error) === "out-of-memory") throw error;
    return { class: "infrastructure", message: `could not make an input of the file: ${messageOf(error)}` };
  }
}

export function rowsOf(read: readonly ReadFile[]): number {
  return read.reduce((rows, { said }) => rows + (typeof said === "number" ? said : 0), 0);
}

/** What became of each file; `saidOf` tells what the model said of so many rows, from one of them on. */
export function answersOf(
  read: readonly ReadFile[],
  saidOf: (row: number, count: number) => FileInference | Failure,
): FileAnswer[] {
  let row = 0;
  return read.map(({ said, sha256, bytes }): FileAnswer => {
    if (said === "same") return { kind: "same" };
    const told = typeof said === "number" ? saidOf(row, said) : said;
    if (typeof said === "number") row += said;
    if ("class" in told) return { kind: "failure", sha256, bytes, class: told.class, message: told.message };
    return { kind: "answer", sha256: sha256 ?? "", bytes: bytes ?? 0, inference: told };
  });
}
