/** What jobs are alike: the same profile and the same command with its placeholders. Another flag is another class. */
import { createHash } from "node:crypto";
import type { RunSpec } from "../../contract/run-spec.ts";

export interface LearnedClass {
  /** Short, and fit for a key in Redis. */
  readonly key: string;
  readonly profile: string;
  readonly command: readonly string[];
}

type ClassSpec = Pick<RunSpec, "profile" | "command" | "learnAs"> & Partial<Pick<RunSpec, "executor" | "binarySha256">>;

const SHOWN_DIGITS = 12;

/** The command of a model is its folder: where the run says which model lies there, another one is another class. */
function modelOf({ executor, binarySha256 }: ClassSpec): string[] {
  if (executor !== "infer" || binarySha256 === undefined) return [];
  return [`sha256:${binarySha256.slice(0, SHOWN_DIGITS)}`];
}

/**
 * The class of a run's processes. The environment is not part of it: a variable that differs from run to run would make
 * every run a stranger, and what a variable changes is found out as a drift.
 */
export function classOf(spec: ClassSpec): LearnedClass {
  const command = [...(spec.learnAs ?? spec.command), ...modelOf(spec)];
  const digest = createHash("sha256").update(JSON.stringify(command)).digest("hex");
  return { key: `${spec.profile}:${digest}`, profile: spec.profile, command };
}
