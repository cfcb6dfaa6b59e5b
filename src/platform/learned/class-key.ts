/** What jobs are alike: the same profile and the same command with its placeholders. Another flag is another class. */
import { createHash } from "node:crypto";
import type { RunSpec } from "../../contract/run-spec.ts";

export interface LearnedClass {
  /** Short, and fit for a key in Redis. */
  readonly key: string;
  readonly profile: string;
  readonly command: readonly string[];
}

/**
 * The class of a run's processes. The environment is not part of it: a variable that differs from run to run would make
 * every run a stranger, and what a variable changes is found out as a drift.
 */
export function classOf(spec: Pick<RunSpec, "profile" | "command" | "learnAs">): LearnedClass {
  const command = spec.learnAs ?? spec.command;
  const digest = createHash("sha256").update(JSON.stringify(command)).digest("hex");
  return { key: `${spec.profile}:${digest}`, profile: spec.profile, command };
}
