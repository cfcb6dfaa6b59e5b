/** How many chunks of one run a scan lets wait or run at a time, so Redis and memory stay flat. Pure. */
import { unknownChunks } from "../../platform/learned/calibration.ts";
import type { LiveRun } from "../../platform/run-hash.ts";
import type { LearnedRuns } from "../governor/learned-runs.ts";

/** Chunks that are added together, while that many are left. */
export const ADD_CHUNKS = 12;
/** Chunks of one run that may wait or run at a time. */
const WINDOW_CHUNKS = 96;
/** While nothing is known of the time per file, chunks are small: few are added, until the first ones have ended. */
const BLIND_WINDOW_CHUNKS = 24;

export class ScanWindow {
  readonly #learned: Pick<LearnedRuns, "isTimed" | "isUnknown">;
  readonly #run: LiveRun;
  readonly #nowMs: () => number;
  /** When the first chunk was added. */
  #firstAddMs: number | undefined;

  /** `nowMs`: the time by a clock that never goes back. */
  constructor(run: LiveRun, learned: Pick<LearnedRuns, "isTimed" | "isUnknown">, nowMs: () => number) {
    this.#run = run;
    this.#learned = learned;
    this.#nowMs = nowMs;
  }

  /** Chunks that may be open for some of `ready` ones to be added. The last ones are added as soon as all of them fit. */
  mostOpen(ready: number): number {
    return this.#size - Math.min(ready, this.#learned.isUnknown(this.#run) ? 1 : ADD_CHUNKS);
  }

  /** How many may be added now that `open` chunks are open. */
  portion(open: number): number {
    return Math.min(ADD_CHUNKS, Math.max(1, this.#size - open));
  }

  added(): void {
    this.#firstAddMs ??= this.#nowMs();
  }

  /** While what a process takes is a guess, few are added, wherever they run: what they teach sizes the later ones. */
  get #size(): number {
    if (this.#learned.isUnknown(this.#run)) {
      const nowMs = this.#nowMs();
      return Math.min(BLIND_WINDOW_CHUNKS, unknownChunks(nowMs - (this.#firstAddMs ?? nowMs)));
    }
    return this.#learned.isTimed(this.#run) ? WINDOW_CHUNKS : BLIND_WINDOW_CHUNKS;
  }
}
