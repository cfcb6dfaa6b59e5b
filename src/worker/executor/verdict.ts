/** Reads what the machine says about the end of a process, and has it classified. */
import type { RunSpec } from "../../contract/run-spec.ts";
import { classify, type Failure, type ProcessEnd, type StopReason } from "../result/outcome.ts";
import { isFull } from "../result/room.ts";
import type { SlotProcess } from "./call.ts";
import type { MemoryKills } from "./memory-kills.ts";

/** Why the process failed, or null. */
export function verdictOf(process: SlotProcess, spec: RunSpec, kills: MemoryKills): Failure | null {
  const end = process.end?.end ?? { kind: "dropped" };
  return classify(end, {
    binary: process.argv[0] ?? "",
    successExitCodes: spec.successExitCodes,
    timeoutMs: spec.timeoutMs,
    maxOutputBytes: spec.output.maxBytes,
    stop: process.stop,
    stopMessage: process.stopMessage,
    sawMemoryKill: isUnexplainedKill(end, process.stop) && kills.now(performance.now()) > process.memoryKillsBefore,
    isDiskFull: isUnwell(end, spec) && isFull(spec.output.root),
  });
}

function isUnexplainedKill(end: ProcessEnd, stop: StopReason | null): boolean {
  return stop === null && end.kind === "signalled" && end.signal === "SIGKILL";
}

function isUnwell(end: ProcessEnd, spec: RunSpec): boolean {
  return end.kind === "signalled" || (end.kind === "exited" && !spec.successExitCodes.includes(end.code));
}
