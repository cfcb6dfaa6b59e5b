/** A file that a worker itself writes for a run: under a temporary name until it is whole, flushed, and allowed by the lease. */
import { createHash } from "node:crypto";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { InfrastructureError, LeaseLostError, messageOf } from "../../contract/errors.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import { Flusher, renameOutput } from "./publish.ts";
import { tempPrefix, type Target } from "./target.ts";

export interface DraftFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface DraftPlace {
  readonly runId: string;
  readonly root: string;
  /** Unique among attempts at the job that writes. */
  readonly token: string;
}

/** Gives drafts their names, if the lease still holds. @throws {InfrastructureError} {LeaseLostError} */
export async function publishDrafts(
  root: string,
  drafts: readonly Draft[],
  mayPublish: () => Promise<boolean>,
): Promise<void> {
  for (const draft of drafts) await draft.finish();
  if (!(await mayPublish())) throw new LeaseLostError("lease of the report is held by another worker");
  for (const draft of drafts) draft.rename();
  await check(new Flusher().flushFolder(root));
}

const DUE_CHARS = 65_536;

/** A file under a temporary name, until it is whole. */
export class Draft {
  readonly #name: string;
  readonly #target: Target;
  readonly #digest = createHash("sha256");
  readonly #fd: number;
  #parts: Buffer[] = [];
  #waiting = 0;
  #bytes = 0;
  #sha256 = "";
  #isOpen = true;

  constructor({ root, runId, token }: DraftPlace, name: string) {
    const tempRelative = `${tempPrefix(runId)}${name.replaceAll("/", "_")}-${token.replace(/[^A-Za-z0-9_-]/g, "_").slice(-80)}.tmp`;
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

  get file(): DraftFile {
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
    throw new InfrastructureError(`could not ${step} a file of the run: ${messageOf(error)}`, { cause: error });
  }
}
