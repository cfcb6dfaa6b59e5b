/**
 * Free room and free file names of the file system below one folder. A file system of the network may never answer, and
 * each question that hangs holds one of the few threads that all file work of this process shares: a folder is asked again
 * only after its last answer, and when several hang no further one is asked.
 */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { BackgroundProbe } from "./probe.ts";

export interface Volume {
  /** The folder that was asked for. */
  readonly path: string;
  readonly totalBytes: number;
  /** What this user may still write. */
  readonly freeBytes: number;
  /** Undefined where the file system has no fixed number of them. */
  readonly totalInodes: number | undefined;
  readonly freeInodes: number | undefined;
}

/** The figures of a file system, as `statfs` gives them. */
export interface FileSystemFigures {
  readonly bsize: number;
  readonly blocks: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

export type AskFileSystem = (path: string) => Promise<FileSystemFigures>;

/** Of the four threads that file work has in Node. */
const MOST_HANGING = 2;
/** An answer that takes longer than this counts as hanging. */
const LIMIT_MS = 2_000;

/** Whose questions are under way and late, over all volumes of this process. */
export type HangingVolumes = Set<VolumeProbe>;

export class VolumeProbe implements BackgroundProbe<Volume> {
  readonly name: string;
  readonly mode = "background";
  readonly periodMs = 2_000;
  readonly staleMs = 15_000;
  readonly limitMs = LIMIT_MS;
  readonly path: string;
  readonly #hanging: HangingVolumes;
  readonly #ask: AskFileSystem;
  #isAsking = false;

  constructor(path: string, hanging: HangingVolumes, ask: AskFileSystem = statfs) {
    this.name = `volume ${path}`;
    this.path = path;
    this.#hanging = hanging;
    this.#ask = ask;
  }

  open(): boolean {
    return true;
  }

  async read(signal: AbortSignal): Promise<Volume> {
    if (this.#isAsking) throw new Error("the file system has still not answered the last question");
    if (this.#hanging.size >= MOST_HANGING) throw new Error("not asked: too many other file systems do not answer");
    this.#isAsking = true;
    const onLate = () => {
      this.#hanging.add(this);
    };
    signal.addEventListener("abort", onLate, { once: true });
    try {
      return volumeOf(this.path, await this.#askNearest(this.path));
    } finally {
      signal.removeEventListener("abort", onLate);
      this.#isAsking = false;
      this.#hanging.delete(this);
    }
  }

  close(): void {
    // Nothing is kept open.
  }

  /** A folder that is not made yet will be on the file system of the one above it. */
  async #askNearest(path: string): Promise<FileSystemFigures> {
    try {
      return await this.#ask(path);
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
      if (!isMissing || dirname(path) === path) throw error;
      return this.#askNearest(dirname(path));
    }
  }
}

function volumeOf(path: string, figures: FileSystemFigures): Volume {
  const { bsize, blocks, bavail, files, ffree } = figures;
  if (![bsize, blocks, bavail].every((value) => Number.isFinite(value) && value >= 0)) {
    throw new Error(`expected sizes of the file system at ${path}, found ${JSON.stringify(figures)}`);
  }
  const hasInodes = files > 0;
  return {
    path,
    totalBytes: blocks * bsize,
    freeBytes: bavail * bsize,
    totalInodes: hasInodes ? files : undefined,
    freeInodes: hasInodes ? Math.min(ffree, files) : undefined,
  };
}
