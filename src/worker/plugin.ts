/**
 * What plugins of the governor are made of: collectors, which read figures, and capacity rules, which object to starting a
 * job. A module exports `probe`, `rule`, or both. Published as `headroom/plugin`; docs/governor-plugins.md shows how.
 */
import type { Amounts } from "../contract/resources.ts";

export type { Amounts } from "../contract/resources.ts";

/** A schema of zod or one that answers alike. */
export interface SchemaLike<Settings> {
  safeParse(raw: unknown):
    | { readonly success: true; readonly data: Settings }
    | {
        readonly success: false;
        readonly error: {
          readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
        };
      };
}

/** Checks what stands below `settings` in the configuration: a schema, or a function that returns them or throws. */
export type SettingsCheck<Settings> = SchemaLike<Settings> | ((raw: unknown) => Settings);

/** Figures by name: lower-case letters, digits and underscores. */
export type PluginFigures = Readonly<Record<string, number>>;

export interface Collector {
  /** Unique among plugins: lower-case letters, digits and dashes. */
  readonly name: string;
  /** Between two readings. Default 5000. */
  readonly periodMs?: number;
  /** A reading older than this counts as unknown. Default: ten periods. */
  readonly staleMs?: number;
  /** Without an answer for this long the collector counts as degraded, and `signal` is aborted. Default 5000. */
  readonly limitMs?: number;
  /** False: there is nothing of the kind on this machine. */
  open?(): boolean | Promise<boolean>;
  /** Called off the governor's tick. One that throws or never answers is degraded, and tried again later. */
  read(signal: AbortSignal): PluginFigures | Promise<PluginFigures>;
  close?(): void;
}

export interface ProbePlugin<Settings = unknown> {
  readonly settings?: SettingsCheck<Settings>;
  create(settings: Settings): Collector;
}

/** What a job asks for. */
export interface JobRequest {
  readonly queue: string;
  readonly need: Amounts;
  readonly labels: readonly string[];
}

/** This worker at this moment. */
export interface WorkerView {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  readonly cpuCores: number;
  readonly memory: readonly { readonly name: string; readonly limitBytes: number; readonly usedBytes: number }[];
  readonly running: readonly { readonly queue: string; readonly need: Amounts }[];
  /** The figures of all collectors that are known now, by name of the collector. */
  readonly figures: Readonly<Partial<Record<string, PluginFigures>>>;
}

/** Why a job may not start now. `need` and `have` are for people. */
export interface RuleObjection {
  readonly message: string;
  readonly need?: number | string | null;
  readonly have?: number | string | null;
  /** Default 1000. */
  readonly retryAfterMs?: number;
}

export interface CapacityRule {
  /** Unique among plugins. The reason that people see is `RULE_` and the name in capitals. */
  readonly name: string;
  /** What happens to jobs while the rule itself is broken. Default `admit`. */
  readonly whenBroken?: "admit" | "defer";
  /** Called before each claim of a job with a process of its own, so it must be quick: it has 50 ms, and may not wait. */
  decide(job: JobRequest, worker: WorkerView): RuleObjection | undefined;
}

export interface RulePlugin<Settings = unknown> {
  readonly settings?: SettingsCheck<Settings>;
  create(settings: Settings): CapacityRule;
}
