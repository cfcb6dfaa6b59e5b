/** The scan of one run in simulated time: it cuts files into chunks as the real one does, a window at a time. */
import { Chunker } from "../../src/contract/chunking.ts";
import type { FileEntry } from "../../src/contract/files.ts";
import type { LiveRun } from "../../src/platform/run-hash.ts";
import { ADD_CHUNKS, ScanWindow } from "../../src/worker/executor/scan-window.ts";
import type { LearnedRuns } from "../../src/worker/governor/learned-runs.ts";

interface ScanDeps {
  readonly learned: LearnedRuns;
  readonly add: (files: readonly FileEntry[]) => void;
}

export class SimulatedScan {
  readonly run: LiveRun;
  /** Chunks that were added and have not ended. */
  open = 0;
  readonly #window: ScanWindow;
  readonly #chunker: Chunker;
  readonly #add: ScanDeps["add"];
  #files: readonly FileEntry[];
  #ready: FileEntry[][] = [];
  #isFlushed = false;
  #nowMs = 0;

  constructor(run: LiveRun, files: readonly FileEntry[], { learned, add }: ScanDeps) {
    this.run = run;
    this.#files = files;
    this.#window = new ScanWindow(run, learned, () => this.#nowMs);
    this.#add = add;
    this.#chunker = new Chunker(run.spec.chunk, (file) => learned.costOf(run, file));
  }

  get isOver(): boolean {
    return this.#isFlushed && this.#ready.length === 0;
  }

  step(nowMs: number): void {
    this.#nowMs = nowMs;
    for (;;) {
      this.#take();
      if (this.#ready.length === 0) return;
      if (this.open > this.#window.mostOpen(this.#ready.length)) return;
      for (const files of this.#ready.splice(0, this.#window.portion(this.open))) {
        this.open += 1;
        this.#add(files);
      }
      this.#window.added();
    }
  }

  #take(): void {
    // Once chunks are ready, all of them are added before another file is looked at.
    if (this.#ready.length > 0) return;
    while (this.#ready.length < ADD_CHUNKS && this.#files.length > 0) {
      const [first, ...rest] = this.#files;
      this.#files = rest;
      if (first !== undefined) this.#ready.push(...this.#chunker.add(first));
    }
    if (this.#files.length > 0 || this.#isFlushed) return;
    this.#isFlushed = true;
    this.#ready.push(...this.#chunker.flush());
  }
}
