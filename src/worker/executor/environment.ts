/** The environment of a job's process: what the run sets, and what it lets through of the worker's own. */
import type { RunSpec } from "../../contract/run-spec.ts";
import { isTraceId, runSpanId } from "../../platform/spans.ts";

/** What a traced binary goes on from (W3C Trace Context, section 3.2): the span of its run. */
function traceparentOf(traceId: string): string {
  return `00-${traceId}-${runSpanId(traceId)}-01`;
}

/**
 * `NAME=value`, the run's own values before the worker's. Which card is seen is the governor's word, or two jobs would
 * share one: `CUDA_VISIBLE_DEVICES` takes UUIDs, and hides all other cards (CUDA C++ Programming Guide, environment
 * variables).
 */
export function jobEnvironment(
  spec: Pick<RunSpec, "env" | "envAllow" | "traceId">,
  own: NodeJS.ProcessEnv,
  gpu: string | null,
): string[] {
  const values = new Map<string, string>();
  if (isTraceId(spec.traceId)) values.set("TRACEPARENT", traceparentOf(spec.traceId));
  for (const name of spec.envAllow) {
    const value = own[name];
    if (value !== undefined) values.set(name, value);
  }
  for (const [name, value] of Object.entries(spec.env)) values.set(name, value);
  if (gpu !== null) values.set("CUDA_VISIBLE_DEVICES", gpu);
  // A NUL would end the value early in the process and shift what comes after it.
  return [...values]
    .filter(([name, value]) => !`${name}${value}`.includes("\0"))
    .map(([name, value]) => `${name}=${value}`);
}
