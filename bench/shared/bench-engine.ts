/** A model's engine without a worker around it, which counts what happens to it. */
import { systemClock } from "../../src/platform/clock.ts";
import type { EndReason, EngineSettings } from "../../src/worker/inference/engine-port.ts";
import { ModelEngine } from "../../src/worker/inference/model-engine.ts";
import { benchLogger } from "./cluster.ts";

export interface BenchEngine extends AsyncDisposable {
  readonly engine: ModelEngine;
  /** Rows of each batch that went well. */
  readonly batches: number[];
  readonly restarts: EndReason[];
  /** Batches for which memory did not do. */
  readonly shortages: () => number;
}

export function openBenchEngine(folder: string, settings: EngineSettings = {}): BenchEngine {
  const batches: number[] = [];
  const restarts: EndReason[] = [];
  let shortages = 0;
  const metrics = {
    batch: ({ rows }: { readonly rows: number }) => batches.push(rows),
    waited: () => undefined,
    outOfMemory: () => (shortages += 1),
    restarted: (reason: EndReason) => restarts.push(reason),
    ceiling: () => undefined,
    placed: () => undefined,
  };
  const engine = new ModelEngine({ clock: systemClock, logger: benchLogger, metrics }, folder, settings);
  return {
    ...{ engine, batches, restarts, shortages: () => shortages },
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
