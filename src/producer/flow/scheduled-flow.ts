/** Starts the flow of a schedule from its file, as that is now. */
import { dirname } from "node:path";
import { InvalidInputError } from "../../contract/errors.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { ScheduledFlow } from "../../contract/schedules.ts";
import { loadFlowFile } from "../../platform/flow/flow-file.ts";
import type { Client } from "../client.ts";

/** The run of this key: started now, or found. @throws {InvalidInputError} with what is wrong in the file */
export async function startScheduledFlow(
  { flows }: Pick<Client, "flows">,
  { file, folder, inputs }: ScheduledFlow,
  idempotencyKey: string,
): Promise<RunRecord> {
  const loaded = await loadFlowFile(file);
  if (loaded.kind === "faulty") throw new InvalidInputError(`flow ${file}`, loaded.faults);
  return flows.runChecked(loaded.flow, { inputs, folder, base: dirname(file), idempotencyKey });
}
