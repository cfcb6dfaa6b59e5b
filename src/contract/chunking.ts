/**
 * Groups files into chunks: small ones together, large ones alone. States: without a known time per file a chunk is small
 * (1 file for the first eight chunks, 2 for the next eight, then 4), so that few files still spread over all slots; with a
 * known time it holds as many files as fill the target time. The time may become known, and change, while the scan goes on.
 */
import type { FileEntry } from "./files.ts";
import type { RunSpec } from "./run-spec.ts";

export type ChunkLimits = RunSpec["chunk"];

/** Files per chunk while no time is known: for this many chunks each. */
const START_CHUNKS = 8;
const START_FILES = [1, 2, 4] as const;
/** Characters of all paths of a chunk: they are what a chunk costs in Redis, and long ones must not make it unbounded. */
const MAX_PATH_CHARS = 65_536;
/** A file larger than this part of a chunk's bytes goes alone. */
const ALONE_RATIO = 1 / 4;

export class Chunker {
  readonly #limits: ChunkLimits;
  readonly #msPerFile: () => number | undefined;
  #files: FileEntry[] = [];
  #bytes = 0;
  #pathChars = 0;
  #chunks = 0;

  /** `msPerFile` is asked for each file; undefined (or no positive number) while nothing is known. */
  constructor(limits: ChunkLimits, msPerFile: () => number | undefined = () => undefined) {
    this.#limits = limits;
    this.#msPerFile = msPerFile;
  }

  /** Takes a file in; a chunk if one is full now. */
  add(entry: FileEntry): FileEntry[] | undefined {
    const aloneBytes = this.#limits.maxBytes * ALONE_RATIO;
    if (entry.bytes > aloneBytes) {
      this.#chunks += 1;
      return [entry];
    }
    this.#files.push(entry);
    this.#bytes += entry.bytes;
    this.#pathChars += entry.path.length;
    // The next file is `aloneBytes` at most: closing here keeps every chunk within its bytes.
    const isFull =
      this.#files.length >= this.#maxFiles() ||
      this.#bytes + aloneBytes > this.#limits.maxBytes ||
      this.#pathChars >= MAX_PATH_CHARS;
    return isFull ? this.flush() : undefined;
  }

  /** What is left over, if anything. Call after the last file. */
  flush(): FileEntry[] | undefined {
    if (this.#files.length === 0) return undefined;
    const chunk = this.#files;
    this.#files = [];
    this.#bytes = 0;
    this.#pathChars = 0;
    this.#chunks += 1;
    return chunk;
  }

  #maxFiles(): number {
    return filesPerChunk(this.#limits, this.#msPerFile(), this.#chunks);
  }
}

/** How many files the chunk after `chunks` earlier ones holds at most. */
function filesPerChunk(limits: ChunkLimits, msPerFile: number | undefined, chunks: number): number {
  if (msPerFile === undefined || !(msPerFile > 0)) {
    const start = START_FILES[Math.floor(chunks / START_CHUNKS)] ?? START_FILES[2];
    return Math.min(start, limits.maxFiles);
  }
  return Math.max(1, Math.min(limits.maxFiles, Math.floor(limits.targetMs / msPerFile)));
}
