/**
 * Where an accepted plan becomes a run. The one place that `run --goal`, `run --plan` and `eval` start flows from: the
 * engine of flows is wired in here.
 */
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { Outcome } from "../../contract/outcomes.ts";
import type { Config } from "../../contract/config.ts";
import type { Io } from "../io.ts";
import type { Place } from "../settings.ts";

export interface FlowStart {
  readonly flow: CheckedFlow;
  /** The SHA-256 of the plan; undefined for a flow that no planner wrote. */
  readonly planSha256: string | undefined;
  readonly inputs: Readonly<Record<string, string | number | boolean>>;
  readonly config: Config;
  readonly place: Place;
  readonly io: Io;
}

export type FlowEnd =
  /** This version has no engine of flows: nothing was started. */
  | { readonly kind: "not-there" }
  | {
      readonly kind: "ended";
      readonly runId: string;
      readonly exitCode: number;
      readonly state: string;
      /** By node. */
      readonly outcomes: Readonly<Record<string, Outcome>>;
      /** Names of artifacts by node. */
      readonly artifacts: Readonly<Record<string, readonly string[]>>;
    };

/** Starts a flow and waits for its end. */
export type StartFlow = (start: FlowStart) => Promise<FlowEnd>;

export const startFlow: StartFlow = () => Promise.resolve({ kind: "not-there" });
