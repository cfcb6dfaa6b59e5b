/** What a process that has ended says of its class; nothing when it failed for reasons of its own. Pure. */
import type { Failure } from "../result/outcome.ts";
import type { Call } from "./call.ts";
import type { ProcessMeasure } from "./chunk-request.ts";
import type { LaunchEnd } from "./launch-frames.ts";

export function measureOf(call: Call, failure: Failure | null): ProcessMeasure | undefined {
  const { end: launch, inputBytes } = call;
  if (launch === null || launch.startedUs === 0 || inputBytes === null) return undefined;
  if (failure !== null && failure.class !== "out-of-memory") return undefined;
  const { file } = call.inputs[0];
  return {
    end: failure === null ? "well" : call.stop === "evicted" ? "evicted" : "kernel-kill",
    isAlone: file.isAlone === true,
    path: file.path,
    inputBytes,
    cpuMs: launch.cpuMs,
    ...ofTrace(call, launch, failure === null),
  };
}

function ofTrace(
  { trace, suspendedMs }: Pick<Call, "trace" | "suspendedMs">,
  launch: LaunchEnd,
  isWell: boolean,
): Pick<ProcessMeasure, "durationMs" | "peakBytes" | "ioBytes" | "shape"> {
  const durationMs = Math.max(0, (launch.endedUs - launch.startedUs) / 1_000 - suspendedMs);
  if (trace === null) return { durationMs, peakBytes: launch.peakBytes, ioBytes: null, shape: null };
  // The kernel tells the largest of its processes, the trace the sum of all at one time.
  const peakBytes = Math.max(launch.peakBytes, trace.peakBytes);
  const shape = isWell ? trace.shape(durationMs, peakBytes) : null;
  return { durationMs, peakBytes, ioBytes: trace.ioBytes, shape };
}
