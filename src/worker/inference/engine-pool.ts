/** The engines of this worker: one for each model and card, shared by all chunks that need it, let go when nobody does. */
import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { MANIFEST_NAME, type Provider } from "../../contract/model-manifest.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Service } from "../../platform/lifecycle.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { ModelEngine } from "./model-engine.ts";
import { endReasons, type EngineMetrics, type EngineSettings } from "./engine-port.ts";
import type { Loaded } from "./engine-protocol.ts";

/** A chunk's share of an engine, to be released. */
export interface EngineLease {
  readonly engine: ModelEngine;
  release(): void;
}

interface Kept {
  readonly engine: ModelEngine;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

export interface EnginePoolDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The next chunk of a run comes sooner than this; a model of another run should not hold its memory much longer. */
const IDLE_MS = 10_000;

export class EnginePool implements Service {
  readonly #deps: EnginePoolDeps;
  readonly #settings: EngineSettings;
  readonly #kept = new Map<string, Kept>();
  readonly #closing = new Set<Promise<void>>();

  constructor(deps: EnginePoolDeps, settings: EngineSettings = {}) {
    this.#deps = deps;
    this.#settings = settings;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    for (const key of [...this.#kept.keys()]) this.#close(key);
    await Promise.all(this.#closing);
  }

  /**
   * The engine of the model in a folder, on the card with this UUID where a chunk has one to itself. A model whose manifest
   * was written to gets another engine.
   */
  lease(folder: string, gpu: string | null = null): EngineLease {
    const key = `${folder}\n${stampOf(folder)}\n${gpu ?? ""}`;
    const kept = this.#kept.get(key) ?? this.#open(key, folder, gpu);
    clearTimeout(kept.idle);
    kept.users += 1;
    let isHeld = true;
    return {
      engine: kept.engine,
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        kept.users -= 1;
        if (kept.users > 0) return;
        kept.idle = setTimeout(() => {
          this.#close(key);
        }, IDLE_MS);
      },
    };
  }

  #open(key: string, folder: string, gpu: string | null): Kept {
    const engine: ModelEngine = new ModelEngine(
      { ...this.#deps, metrics: this.#metricsOf(folder, () => engine.facts.loaded) },
      folder,
      { ...this.#settings, ...(gpu !== null && { gpu }) },
    );
    const kept = { engine, users: 0, idle: undefined };
    this.#kept.set(key, kept);
    return kept;
  }

  #close(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    clearTimeout(kept.idle);
    this.#kept.delete(key);
    const closing: Promise<void> = kept.engine.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #metricsOf(folder: string, loaded: () => Loaded | undefined): EngineMetrics {
    const { metrics } = this.#deps;
    const labels = () => ({ model: loaded()?.model.manifest.name ?? basename(folder) });
    const providerOf = () => loaded()?.provider;
    const withProvider = (provider: Provider) => ({ ...labels(), provider });
    return {
      batch: ({ provider, rows, runMs, tokens }) => {
        metrics.histogram("headroom_inference_duration_seconds").observe(withProvider(provider), runMs / 1_000);
        metrics.histogram("headroom_inference_batch_files").observe(withProvider(provider), rows);
        if (tokens === undefined) return;
        const counter = metrics.counter("headroom_inference_tokens_total");
        counter.inc({ ...withProvider(provider), kind: "in" }, tokens.in);
        counter.inc({ ...withProvider(provider), kind: "out" }, tokens.out);
      },
      waited: (ms) => {
        metrics.histogram("headroom_inference_wait_seconds").observe(labels(), ms / 1_000);
      },
      outOfMemory: (provider) => {
        metrics.counter("headroom_inference_out_of_memory_total").inc(withProvider(provider));
      },
      restarted: (reason) => {
        metrics.counter("headroom_engine_restarts_total").inc({ ...labels(), reason });
      },
      placed: (placement) => {
        const gauge = metrics.gauge("headroom_inference_operations");
        for (const [provider, operations] of Object.entries(placement))
          gauge.set({ ...labels(), provider }, operations);
      },
      ceiling: ({ upToBytes, rows }) => {
        // The first that an engine tells once it has loaded its model: from now on its series are there.
        for (const reason of endReasons)
          metrics.counter("headroom_engine_restarts_total").inc({ ...labels(), reason }, 0);
        const provider = providerOf();
        if (provider !== undefined)
          metrics.counter("headroom_inference_out_of_memory_total").inc(withProvider(provider), 0);
        const upTo = upToBytes === Infinity ? "+Inf" : String(upToBytes);
        metrics.gauge("headroom_inference_ceiling_files").set({ ...labels(), up_to_bytes: upTo }, rows);
      },
    };
  }
}

/** Changes when the manifest does; a folder without one is told of when the engine looks. */
function stampOf(folder: string): string {
  const stat = statSync(join(folder, MANIFEST_NAME), { throwIfNoEntry: false });
  return stat === undefined ? "none" : `${stat.ino}:${stat.mtimeMs}:${stat.size}`;
}
