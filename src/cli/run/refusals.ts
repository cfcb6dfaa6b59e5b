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

/** @throws {InvalidInputError} when options are about a flow, and what is run is none */
export function refuseFlowOptions({ flow, set, from }: RunFlags, found: string): void {
  const asked = Object.entries({ "--flow": flow, "--set": set, "--from": from });
  const faults = asked.flatMap(([where, value]) => (value === undefined ? [] : [{ where, expected: "a flow", found }]));
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
}
