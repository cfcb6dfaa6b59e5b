/**
 * Groups files into chunks: small ones together, large ones alone. States: without a known time per file a chunk holds one,
 * for it may be a long one, and many are cut before the first has ended (after 36 chunks it holds 4: some have ended by
 * then); with known times it holds as many files as fill the target time. Times may become known, and change, while the scan goes on.
 * Files that need far different amounts of memory do not go together: all would be given what the largest needs.
 */
import type { FileEntry } from "./files.ts";
import type { RunSpec } from "./run-spec.ts";

export type ChunkLimits = RunSpec["chunk"];

/** What a file is expected to take. */
export interface FileCost {
  /** Undefined (or no positive number) while nothing is known. */
  readonly ms: number | undefined;
  /** Files of different groups do not share a chunk. */
  readonly group: number;
}

/** Files per chunk while no time is known: one for so many chunks, as many as a scan cuts before one has to end; then more. */
const START_CHUNKS = 36;
const LATER_FILES = 4;
/** Characters of all paths of a chunk: they are what a chunk costs in Redis, and long ones must not make it unbounded. */
const MAX_PATH_CHARS = 65_536;
/** A file larger than this part of a chunk's bytes goes alone. */
const ALONE_RATIO = 1 / 4;
/** A chunk that is not full goes on its way after so many others: the files of a rare size must not all come last. */
const PATIENCE_CHUNKS = 24;

interface OpenChunk {
  readonly files: FileEntry[];
  readonly openedAt: number;
  bytes: number;
  pathChars: number;
  ms: number;
}

export class Chunker {
  readonly #limits: ChunkLimits;
  readonly #costOf: (entry: FileEntry) => FileCost;
  readonly #open = new Map<number, OpenChunk>();
  #chunks = 0;

  /** `costOf` is asked once for each file. */
  constructor(limits: ChunkLimits, costOf: (entry: FileEntry) => FileCost = () => ({ ms: undefined, group: 0 })) {
    this.#limits = limits;
    this.#costOf = costOf;
  }

  /** Takes a file in; the chunks that are full now. */
  add(entry: FileEntry): FileEntry[][] {
    const { ms, group } = this.#costOf(entry);
    const isKnown = ms !== undefined && ms > 0;
    const isAlone = entry.bytes > this.#aloneBytes || (isKnown && ms >= this.#limits.targetMs);
    if (isAlone) {
      this.#chunks += 1;
      return [[entry]];
    }
    const chunk = this.#open.get(group) ?? { files: [], openedAt: this.#chunks, bytes: 0, pathChars: 0, ms: 0 };
    this.#open.set(group, chunk);
    chunk.files.push(entry);
    chunk.bytes += entry.bytes;
    chunk.pathChars += entry.path.length;
    chunk.ms += isKnown ? ms : 0;
    if (!this.#isFull(chunk, isKnown ? ms : undefined)) return [];
    return [this.#close(group, chunk), ...this.#closeOld()];
  }

  /** What is left over. Call after the last file. */
  flush(): FileEntry[][] {
    return [...this.#open].map(([group, chunk]) => this.#close(group, chunk));
  }

  get #aloneBytes(): number {
    return this.#limits.maxBytes * ALONE_RATIO;
  }

  /** `ms`: what one more file like the last one would take. */
  #isFull({ files, bytes, pathChars, ms: sumMs }: OpenChunk, ms: number | undefined): boolean {
    const { maxFiles, maxBytes, targetMs } = this.#limits;
    const start = this.#chunks < START_CHUNKS ? 1 : LATER_FILES;
    return (
      files.length >= maxFiles ||
      // The next file is `aloneBytes` at most: closing here keeps every chunk within its bytes.
      bytes + this.#aloneBytes > maxBytes ||
      pathChars >= MAX_PATH_CHARS ||
      (ms === undefined ? files.length >= start : sumMs + ms > targetMs)
    );
  }

  #closeOld(): FileEntry[][] {
    return [...this.#open]
      .filter(([, { openedAt }]) => this.#chunks - openedAt > PATIENCE_CHUNKS)
      .map(([group, chunk]) => this.#close(group, chunk));
  }

  #close(group: number, { files }: OpenChunk): FileEntry[] {
    this.#open.delete(group);
    this.#chunks += 1;
    return files;
  }
}
