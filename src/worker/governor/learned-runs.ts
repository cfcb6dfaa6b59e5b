/** What a file of a run takes, from what this worker has measured and from what all workers have learned. */
import { createHash } from "node:crypto";
import type { FileResult } from "../../contract/files.ts";
import type { LiveRun } from "../../platform/run-hash.ts";
import type { Logger } from "../../platform/logger.ts";
import type { LearnedDemand } from "./demand.ts";
import { learnedKey, type LearnedDemands } from "./learned.ts";

/** Weight of a new chunk in the mean of this worker. */
const SMOOTHING = 0.3;
const MAX_RUNS = 256;

interface RunFigures {
  readonly key: string;
  chunkMsPerFile: number | undefined;
  shared: LearnedDemand | undefined;
}

export class LearnedRuns {
  readonly #demands: LearnedDemands;
  readonly #logger: Logger;
  readonly #runs = new Map<string, RunFigures>();

  constructor(demands: LearnedDemands, logger: Logger) {
    this.#demands = demands;
    this.#logger = logger;
  }

  /** Notes files that were run. */
  learn(run: LiveRun, results: readonly FileResult[]): void {
    if (run.spec.executor !== "process") return;
    const { key } = this.#of(run);
    for (const { durationMs, peakBytes, outcome } of results) {
      if (outcome === "succeeded" && durationMs !== null && peakBytes !== null)
        this.#demands.record(key, { durationMs, peakBytes });
    }
  }

  /** Notes how long a whole chunk took, which is what the size of the next one is made from. */
  learnChunk(run: LiveRun, files: number, ms: number): void {
    if (files === 0) return;
    const figures = this.#of(run);
    const last = figures.chunkMsPerFile ?? ms / files;
    figures.chunkMsPerFile = last + SMOOTHING * (ms / files - last);
  }

  /** Milliseconds per file, as far as is known by now. */
  msPerFile(run: LiveRun): number | undefined {
    const figures = this.#of(run);
    if (figures.chunkMsPerFile !== undefined) return figures.chunkMsPerFile;
    this.#demands.load(figures.key).then(
      (shared) => {
        figures.shared = shared;
      },
      (error: unknown) => {
        this.#logger.warn({ err: error }, "learned figures could not be read");
      },
    );
    return figures.shared?.durationMsPerFile;
  }

  #of(run: LiveRun): RunFigures {
    const known = this.#runs.get(run.runId);
    if (known !== undefined) return known;
    if (this.#runs.size >= MAX_RUNS) this.#runs.clear();
    const command = createHash("sha256").update(JSON.stringify(run.spec.command)).digest("hex");
    const figures: RunFigures = {
      key: learnedKey(run.spec.profile, command),
      chunkMsPerFile: undefined,
      shared: undefined,
    };
    this.#runs.set(run.runId, figures);
    return figures;
  }
}
