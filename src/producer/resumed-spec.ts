/** What an ended run is when it is begun anew: its specification of before, with what is asked for otherwise. */
import type { TaskMessage } from "../contract/agents.ts";
import { changedRequest, parseRunSpec, type RunSpecInput } from "../contract/run-request.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import { toldAnew } from "../contract/task-limits.ts";
import type { PolicyGate } from "../platform/policy-gate.ts";
import { requireGlobs } from "../platform/scan/path-filter.ts";

export interface ResumeTerms {
  readonly gate: Pick<PolicyGate, "require">;
  readonly task?: TaskMessage | undefined;
  readonly traceId: string;
}

/** @throws {InvalidInputError} when it is no specification, {PolicyError} when it is not allowed */
export function resumedSpec(
  before: RunSpec,
  change: Partial<RunSpecInput>,
  { gate, task, traceId }: ResumeTerms,
): RunSpec {
  const env = toldAnew(task, change.env ?? before.env);
  const spec = parseRunSpec(changedRequest(before, { ...change, env, traceId }));
  requireGlobs(spec.input);
  gate.require(spec);
  return spec;
}
