/** What an engine is made with, and what it tells of itself. */
import type { Allow } from "../../contract/allow.ts";
import type { Provider } from "../../contract/model-manifest.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Ceiling } from "./batch-plan.ts";
import type { FromEngine, Loaded } from "./engine-protocol.ts";
import type { Placement } from "./placement.ts";

/** Why a child ended that was not asked to. */
export const endReasons = ["died", "out-of-memory", "timeout", "silent", "evicted", "recycled"] as const;
export type EndReason = (typeof endReasons)[number];

/** Where an engine counts. */
export interface EngineMetrics {
  batch(
    facts: { readonly provider: Provider } & Pick<Extract<FromEngine, { kind: "done" }>, "rows" | "runMs" | "tokens">,
  ): void;
  waited(ms: number): void;
  outOfMemory(provider: Provider): void;
  restarted(reason: EndReason): void;
  ceiling(ceiling: Ceiling): void;
  placed(placement: Placement): void;
}

export interface EngineDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: EngineMetrics;
}

export interface EngineSettings {
  /** A command that starts the engine under limits, such as `prlimit --as=…`. */
  readonly prefix?: readonly string[];
  /** The one card that the engine sees, by its UUID; all of them without it. */
  readonly gpu?: string;
  /** Instead of those of the manifest. */
  readonly providers?: readonly Provider[];
  readonly warmRows?: number;
  /** Digests of modules in folders of models whose code may run; without it none. */
  readonly modelPlugins?: Allow["model_plugins"];
  /** Runs batches of so many rows, and does not look for the best. */
  readonly fixedRows?: number;
}

/** The engine as it is now. */
export interface EngineFacts {
  readonly pid: number | undefined;
  readonly rssBytes: number;
  readonly cpuMs: number;
  readonly loaded: Loaded | undefined;
}
