/** The rules of the operator that a chunk is held to beside those of its files. */
import { faultsLine } from "../../../contract/errors.ts";
import { unrunResult, type FileEntry } from "../../../contract/files.ts";
import type { RunSpec } from "../../../contract/run-spec.ts";
import type { PolicyGate } from "../../../platform/policy-gate.ts";
import type { LiveRun } from "../../../platform/run-hash.ts";
import type { Recorder } from "../../result/recorder.ts";

/** The files of a chunk by what they run; `specs`, of a job of a flow, says what each does. */
export function kindsOf(
  run: LiveRun,
  files: readonly FileEntry[],
  specs: ReadonlyMap<string, RunSpec> | undefined,
): readonly (readonly [RunSpec, readonly FileEntry[]])[] {
  if (specs === undefined) return [[run.spec, files]];
  return files.map((file) => [specs.get(file.path) ?? run.spec, [file]]);
}

/** Ends the files that are not allowed here, whoever has enqueued them, and has their rows written; the others. */
export async function refuseFiles(
  gate: Pick<PolicyGate, "decide">,
  recorder: Pick<Recorder, "add" | "flush">,
  kinds: readonly (readonly [RunSpec, readonly FileEntry[]])[],
): Promise<FileEntry[]> {
  const allowed: FileEntry[] = [];
  for (const [spec, files] of kinds) {
    const decision = gate.decide(spec);
    if (decision.kind !== "refused") {
      allowed.push(...files);
      continue;
    }
    const why = { outcome: "failed", failureClass: "policy", message: faultsLine(decision.faults) } as const;
    await recorder.add(files.map((file) => unrunResult(file, why)));
    await recorder.flush();
  }
  return allowed;
}
