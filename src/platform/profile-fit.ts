/** Whether some live worker could ever run jobs of a profile as it is about to be declared. Pure. */
import type { Fault } from "../contract/errors.ts";
import { bucketBytes, bucketOf } from "../contract/profiles.ts";
import type { ProfileChange } from "../contract/profile-changes.ts";
import type { WorkerHeartbeat } from "../contract/status.ts";
import { isClaiming, mebibytes } from "./explain-workers.ts";

type Candidate = Pick<WorkerHeartbeat, "workerId" | "state" | "labels" | "largestJobBytes">;

/**
 * What the worker that comes nearest lacks; empty when one could run them, or none is there to say. Cores are not among
 * it: a job that asks for more than a worker has gets all of them.
 */
export function decideProfileFit(change: ProfileChange, workers: readonly Candidate[]): readonly Fault[] {
  let nearest: readonly Fault[] | undefined;
  for (const worker of workers.filter(isClaiming)) {
    const lacking = lackingOf(change, worker);
    if (lacking.length === 0) return [];
    if (nearest === undefined || lacking.length < nearest.length) nearest = lacking;
  }
  return nearest ?? [];
}

function lackingOf({ memory, labels = [] }: ProfileChange, worker: Candidate): Fault[] {
  const name = `worker ${worker.workerId}, which comes nearest,`;
  const missing = labels.filter((label) => !worker.labels.includes(label));
  const faults: Fault[] = missing.map((label) => ({
    where: "labels",
    expected: `labels that a live worker carries; ${name} carries ${worker.labels.join(", ") || "none"}`,
    found: label,
  }));
  const most = worker.largestJobBytes ?? Infinity;
  // What is reserved is a whole size bucket.
  const reserved = memory === undefined ? 0 : bucketBytes(bucketOf(memory));
  if (memory !== undefined && reserved > most) {
    const expected = `what a live worker takes; ${name} takes ${mebibytes(most)} at most`;
    const found = memory > most ? "" : `, for which ${mebibytes(reserved)} are reserved`;
    faults.push({ where: "memory", expected, found: `${mebibytes(memory)}${found}` });
  }
  return faults;
}
