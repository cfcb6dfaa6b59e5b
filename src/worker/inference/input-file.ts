/**
 * Reads input files in the engine's process. Synchronously: nothing else waits for this process, and a turn through the
 * thread pool costs three times what reading a small file does.
 */
import { createHash, hash } from "node:crypto";
import { closeSync, fstatSync, readSync } from "node:fs";
import type { AskedAnswer } from "../../contract/run-spec.ts";
import { InputReader, unreadable } from "../executor/open-input.ts";
import type { Failure } from "../result/outcome.ts";
import type { InputPlace } from "./engine-protocol.ts";

/** Files up to this size are read once and kept for their turn. */
const SMALL_BYTES = 256 * 1024;
const BLOCK_BYTES = 1024 * 1024;

/** The content of one file, while its turn lasts. */
export interface FileContent {
  readonly bytes: number;
  readonly sha256: string;
  /** Bytes from `at` on; fewer than `length` at the end of the file. Valid until the next read. */
  slice(at: number, length: number): Uint8Array;
}

export class InputFiles {
  readonly #small = Buffer.allocUnsafeSlow(SMALL_BYTES + 1);
  readonly #readers = new Map<number, InputReader>();
  readonly #answers = new Map<number, AskedAnswer>();

  place(placeId: number, { inputRoot, answer, ...spec }: InputPlace): void {
    this.#readers.set(placeId, new InputReader(spec, inputRoot));
    if (answer !== undefined) this.#answers.set(placeId, answer);
  }

  forget(placeId: number): void {
    this.#readers.delete(placeId);
    this.#answers.delete(placeId);
  }

  /** How answers about the files of a place are to be; undefined where the model's own schema says it. */
  answerOf(placeId: number): AskedAnswer | undefined {
    return this.#answers.get(placeId);
  }

  /** Opens a file for as long as `use` takes; what that says, or why the file cannot be read. */
  read<T>(placeId: number, path: string, use: (content: FileContent) => T): T | Failure {
    const reader = this.#readers.get(placeId);
    if (reader === undefined) throw new TypeError(`expected a known place, found ${placeId}`);
    const opened = reader.open(path);
    if ("class" in opened) return opened;
    const { fd, stat } = opened;
    try {
      return use(stat.size <= SMALL_BYTES ? this.#whole(fd) : large(fd, stat));
    } catch (error) {
      if (error instanceof ChangedFile) return { class: "bad-input", message: error.message };
      if (error instanceof Error && "errno" in error) return unreadable(error);
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  #whole(fd: number): FileContent {
    const buffer = this.#small;
    let bytes = 0;
    for (let got = -1; got !== 0; bytes += got) got = readSync(fd, buffer, bytes, buffer.length - bytes, null);
    // It has grown past what was seen of it a moment ago.
    if (bytes > SMALL_BYTES) return large(fd, fstatSync(fd));
    const content = buffer.subarray(0, bytes);
    return {
      bytes,
      sha256: hash("sha256", content, "hex"),
      slice: (at, length) => content.subarray(at, at + length),
    };
  }
}

/** Windows are read anew after the digest: they must be of the very file that the digest is of. */
class ChangedFile extends Error {
  constructor() {
    super("expected a file that stays as it is while it is read, found that it was written to");
    this.name = "ChangedFile";
  }
}

function large(fd: number, before: { readonly size: number; readonly mtimeMs: number }): FileContent {
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  const digest = createHash("sha256");
  let bytes = 0;
  for (let got = -1; got !== 0; bytes += got) {
    got = readSync(fd, block, 0, BLOCK_BYTES, bytes);
    digest.update(block.subarray(0, got));
  }
  return {
    bytes,
    sha256: digest.digest("hex"),
    slice: (at, length) => {
      const part = Buffer.alloc(Math.max(0, Math.min(length, bytes - at)));
      let filled = 0;
      for (let got = -1; got !== 0 && filled < part.length; filled += got) {
        got = readSync(fd, part, filled, part.length - filled, at + filled);
      }
      const now = fstatSync(fd);
      if (now.size !== before.size || now.mtimeMs !== before.mtimeMs || filled < part.length) throw new ChangedFile();
      return part;
    },
  };
}
