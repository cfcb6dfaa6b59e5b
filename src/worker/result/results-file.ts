/**
 * `results.jsonl`: what a model said of all files of a run, one line per file in path order; and `embeddings.f32`, the
 * vectors one behind the other, of which a line names its own by number. Made of the store's rows when all are there, so
 * each file is in it once; it appears whole, as every output does.
 */
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { InfrastructureError, LeaseLostError, messageOf } from "../../contract/errors.ts";
import { resultLine, type LineResult } from "../../contract/result-line.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import { Flusher, renameOutput } from "./publish.ts";
import { tempPrefix, type Target } from "./target.ts";

const RESULTS_NAME = "results.jsonl";
const EMBEDDINGS_NAME = "embeddings.f32";

export interface ResultsFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

interface ResultsRequest {
  readonly runId: string;
  readonly root: string;
  /** Unique among attempts at the report. */
  readonly token: string;
  readonly rows: AsyncIterable<LineResult>;
  /** Asked before the names are given. */
  mayPublish(): Promise<boolean>;
}

/** Writes both files, or the first alone where there are no vectors. @throws {InfrastructureError} {LeaseLostError} */
export async function writeResults(request: ResultsRequest): Promise<ResultsFile[]> {
  const { root, rows } = request;
  mkdirSync(fsPath(root), { recursive: true });
  using lines = new Draft(request, RESULTS_NAME);
  using vectors = new Draft(request, EMBEDDINGS_NAME);
  let vector = 0;
  for await (const row of rows) {
    const { inference } = row;
    const isVector = inference?.value.task === "embed";
    if (inference?.value.task === "embed") vectors.write(Buffer.from(inference.value.vector, "base64"));
    lines.write(`${JSON.stringify(resultLine(row, isVector ? vector++ : undefined))}\n`);
    if (lines.isDue) {
      lines.flush();
      await turn();
    }
  }
  const drafts = vector > 0 ? [vectors, lines] : [lines];
  for (const draft of drafts) await draft.finish();
  if (!(await request.mayPublish())) throw new LeaseLostError("lease of the report is held by another worker");
  for (const draft of drafts) draft.rename();
  await check(new Flusher().flushFolder(root));
  return drafts.map(({ file }) => file).reverse();
}

const DUE_CHARS = 65_536;

/** A file under a temporary name, until it is whole. */
class Draft {
  readonly #name: string;
  readonly #target: Target;
  readonly #digest = createHash("sha256");
  readonly #fd: number;
  #parts: Buffer[] = [];
  #waiting = 0;
  #bytes = 0;
  #sha256 = "";
  #isOpen = true;

  constructor({ root, runId, token }: ResultsRequest, name: string) {
    const tempRelative = `${tempPrefix(runId)}${name}-${token.replace(/[^A-Za-z0-9_-]/g, "_").slice(-80)}.tmp`;
    this.#name = name;
    this.#target = {
      relative: name,
      path: join(root, name),
      folder: root,
      temp: join(root, tempRelative),
      tempRelative,
    };
    this.#fd = withReason("make", () => openSync(fsPath(this.#target.temp), "w"));
  }

  get file(): ResultsFile {
    return { path: this.#name, bytes: this.#bytes, sha256: this.#sha256 };
  }

  get isDue(): boolean {
    return this.#waiting > DUE_CHARS;
  }

  write(part: string | Buffer): void {
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    this.#parts.push(bytes);
    this.#waiting += bytes.length;
  }

  flush(): void {
    const block = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#waiting = 0;
    this.#digest.update(block);
    this.#bytes += block.length;
    withReason("write", () => {
      for (let at = 0; at < block.length;) at += writeSync(this.#fd, block, at);
    });
  }

  async finish(): Promise<void> {
    this.flush();
    this.#sha256 = this.#digest.digest("hex");
    this.#isOpen = false;
    await check(new Flusher().flushOutput({ fd: this.#fd, bytes: this.#bytes, sha256: this.#sha256 }));
  }

  rename(): void {
    const failure = renameOutput(this.#target);
    if (failure !== null) throw new InfrastructureError(failure.message);
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) closeSync(this.#fd);
    rmSync(fsPath(this.#target.temp), { force: true });
  }
}

async function check(step: Promise<{ message: string } | null>): Promise<void> {
  const failure = await step;
  if (failure !== null) throw new InfrastructureError(failure.message);
}

function withReason<T>(step: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new InfrastructureError(`could not ${step} the file of results: ${messageOf(error)}`, { cause: error });
  }
}
