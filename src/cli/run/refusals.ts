/** What `headroom run` refuses once it knows the cluster, before anything of the run is changed. */
import { ConflictError, InvalidInputError } from "../../contract/errors.ts";
import { isTerminal } from "../../contract/outcomes.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { heldText } from "../../platform/output-claim.ts";
import { RunHash } from "../../platform/run-hash.ts";
import { findForeignHolder } from "../../producer/submit.ts";
import { loadLiveWorkers, type Cluster } from "../cluster.ts";
import type { RunFlags } from "../run-flags.ts";

/** Whether the run is one whose follower was killed: it is gone on with as it is. */
export function goesOn(cluster: Cluster, run: Pick<RunRecord, "state">): boolean {
  return cluster.isEmbedded && !isTerminal(run.state);
}

/** Looks before a worker starts: it would end an unfinished run whose folder another one has taken since. */
export async function refuseTakenFolder(cluster: Cluster, runId: string): Promise<void> {
  const before = await cluster.store.runs.get(runId);
  if (before === undefined || !goesOn(cluster, before)) return;
  const { root, from } = before.spec.output;
  const deps = { hash: new RunHash(cluster.redis, cluster.place.kp), store: cluster.store };
  const holder = from === "none" ? undefined : await findForeignHolder(deps, runId, root);
  if (holder !== undefined) throw new ConflictError(heldText(root, holder));
}

/** An embedded Redis ends with its last user: without a worker nobody would ever run what is left behind. */
export async function refuseLonelyDetach(cluster: Cluster): Promise<void> {
  if (!cluster.isEmbedded || (await loadLiveWorkers(cluster)).length > 0) return;
  throw new InvalidInputError("command line", [
    { where: "--detach", expected: "--redis, or a running headroom up with this data folder", found: "neither" },
  ]);
}

/** What is said of limits that a call gives, where it starts no worker to keep them. */
export function idleLimits({ maxProcesses, memoryThreshold, cpuThreshold }: RunFlags): string | undefined {
  const given = {
    "--max-processes": maxProcesses,
    "--memory-threshold": memoryThreshold,
    "--cpu-threshold": cpuThreshold,
  };
  const idle = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  return idle.length === 0
    ? undefined
    : `${idle.join(", ")}: no effect here, the workers that run this have limits of their own`;
}

/** @throws {InvalidInputError} when options are about a flow, and what is run is none */
export function refuseFlowOptions({ flow, set, from, planOnly, format }: RunFlags, found: string): void {
  const asked = Object.entries({
    ...{ "--flow": flow, "--set": set, "--from": from },
    ...{ "--plan-only": planOnly, "--format": format },
  });
  const faults = asked.flatMap(([where, value]) => (value === undefined ? [] : [{ where, expected: "a flow", found }]));
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
}
