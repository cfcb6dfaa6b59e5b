/** The scan of one run in simulated time: it cuts files into chunks as the real one does, a window at a time. */
import { Chunker } from "../../src/contract/chunking.ts";
import type { FileEntry } from "../../src/contract/files.ts";
import { unknownChunks } from "../../src/platform/learned/calibration.ts";
import type { LiveRun } from "../../src/platform/run-hash.ts";
import type { LearnedRuns } from "../../src/worker/governor/learned-runs.ts";

const WINDOW_CHUNKS = 96;
const BLIND_WINDOW_CHUNKS = 24;
const ADD_CHUNKS = 12;

interface ScanDeps {
  readonly learned: LearnedRuns;
  readonly add: (files: readonly FileEntry[]) => void;
}

export class SimulatedScan {
  readonly run: LiveRun;
  /** Chunks that were added and have not ended. */
  open = 0;
  readonly #learned: LearnedRuns;
  readonly #chunker: Chunker;
  readonly #add: ScanDeps["add"];
  #files: readonly FileEntry[];
  #ready: FileEntry[][] = [];
  #isFlushed = false;
  #firstAddMs: number | undefined;

  constructor(run: LiveRun, files: readonly FileEntry[], { learned, add }: ScanDeps) {
    this.run = run;
    this.#files = files;
    this.#learned = learned;
    this.#add = add;
    this.#chunker = new Chunker(run.spec.chunk, (file) => learned.costOf(run, file));
  }

  get isOver(): boolean {
    return this.#isFlushed && this.#ready.length === 0;
  }

  step(nowMs: number): void {
    for (;;) {
      this.#take();
      if (this.#ready.length === 0) return;
      const isUnknown = this.#learned.isUnknown(this.run);
      if (this.open > this.#window(nowMs) - (isUnknown ? 1 : ADD_CHUNKS)) return;
      const most = Math.min(ADD_CHUNKS, Math.max(1, this.#window(nowMs) - this.open));
      for (const files of this.#ready.splice(0, most)) {
        this.open += 1;
        this.#add(files);
      }
      this.#firstAddMs ??= nowMs;
    }
  }

  #take(): void {
    // Once chunks are ready, all of them are added before another file is looked at.
    if (this.#ready.length > 0) return;
    while (this.#ready.length < this.#ahead && this.#files.length > 0) {
      const [first, ...rest] = this.#files;
      this.#files = rest;
      if (first !== undefined) this.#ready.push(...this.#chunker.add(first));
    }
    if (this.#files.length > 0 || this.#isFlushed) return;
    this.#isFlushed = true;
    this.#ready.push(...this.#chunker.flush());
  }

  get #ahead(): number {
    return ADD_CHUNKS;
  }

  #window(nowMs: number): number {
    if (this.#learned.isUnknown(this.run)) {
      return Math.min(BLIND_WINDOW_CHUNKS, unknownChunks(nowMs - (this.#firstAddMs ?? nowMs)));
    }
    return this.#learned.isTimed(this.run) ? WINDOW_CHUNKS : BLIND_WINDOW_CHUNKS;
  }
}
