/** Starts the flow of a schedule from its file, as that is now. */
import { dirname } from "node:path";
import type { Config } from "../../contract/config.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { profileNames, profilesOf } from "../../contract/flow-profiles.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import type { ScheduledFlow } from "../../contract/schedules.ts";
import { loadFlowFile } from "../../platform/flow/flow-file.ts";
import { agentsOf } from "../../platform/flow/programs.ts";
import type { Client } from "../client.ts";

/** What the configuration of the scheduler has of what flows name. */
export interface KnownPrograms extends Pick<Config, "agents" | "profiles"> {
  /** The absolute path of the program of an agent. @throws {InvalidInputError} when it is not there */
  readonly programPath?: (name: string) => string;
}

/**
 * The run of this key: started now, or found. Its nodes get the agents and profiles that are declared.
 * @throws {InvalidInputError} with what is wrong in the file, and what it names that is not there
 */
export async function startScheduledFlow(
  { flows }: Pick<Client, "flows">,
  { agents: programs, profiles: declared, programPath = (name) => name }: KnownPrograms,
  { file, folder, inputs }: ScheduledFlow,
  idempotencyKey: string,
): Promise<RunRecord> {
  const loaded = await loadFlowFile(file, file, profileNames(declared));
  if (loaded.kind === "faulty") throw new InvalidInputError(`flow ${file}`, loaded.faults);
  const { flow } = loaded;
  const agents = agentsOf(flow, { agents: programs }, programPath);
  const profiles = profilesOf(flow, declared);
  return flows.runChecked(flow, { inputs, folder, base: dirname(file), agents, profiles, idempotencyKey });
}
