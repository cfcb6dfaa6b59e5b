/** Starts the flow of a schedule from its file, as that is now. */
import { dirname } from "node:path";
import type { Config } from "../../contract/config.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { profilesOf } from "../../contract/flow-profiles.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { ScheduledFlow } from "../../contract/schedules.ts";
import { loadFlowFile } from "../../platform/flow/flow-file.ts";
import type { Client } from "../client.ts";

/** The run of this key: started now, or found. Its nodes get what is declared of their profiles. @throws {InvalidInputError} with what is wrong in the file */
export async function startScheduledFlow(
  { flows }: Pick<Client, "flows">,
  declared: Config["profiles"],
  { file, folder, inputs }: ScheduledFlow,
  idempotencyKey: string,
): Promise<RunRecord> {
  const loaded = await loadFlowFile(file);
  if (loaded.kind === "faulty") throw new InvalidInputError(`flow ${file}`, loaded.faults);
  const profiles = profilesOf(loaded.flow, declared);
  return flows.runChecked(loaded.flow, { inputs, folder, base: dirname(file), profiles, idempotencyKey });
}
