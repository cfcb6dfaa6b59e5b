/** Whether some live worker could ever run jobs of a profile as it is about to be declared. Pure. */
import type { Fault } from "../contract/errors.ts";
import { bucketBytes, bucketOf } from "../contract/profiles.ts";
import type { ProfileChange } from "../contract/profile-changes.ts";
import type { WorkerHeartbeat } from "../contract/status.ts";
import { isClaiming, mebibytes } from "./explain-workers.ts";
import { lackedBytes, nearestOf, type LackedBytes } from "./worker-size.ts";

type Candidate = Pick<WorkerHeartbeat, "workerId" | "state" | "labels" | "largestJobBytes" | "largestCardBytes">;

/**
 * What the worker that comes nearest lacks; empty when one could run them, or none is there to say. Cores are not among
 * it: a job that asks for more than a worker has gets all of them.
 */
export function decideProfileFit(change: ProfileChange, workers: readonly Candidate[]): readonly Fault[] {
  const { memory, gpu_memory: gpuMemoryBytes, labels = [] } = change;
  // What is reserved is a whole size bucket.
  const memoryBytes = memory === undefined ? 0 : bucketBytes(bucketOf(memory));
  const shortfalls = workers.filter(isClaiming).map((worker) => ({
    worker,
    missing: labels.filter((label) => !worker.labels.includes(label)),
    lacks: lackedBytes({ memoryBytes, gpuMemoryBytes, labels }, worker),
  }));
  const nearest = nearestOf(shortfalls);
  if (nearest === undefined) return [];
  const { worker, missing, lacks } = nearest;
  const name = `worker ${worker.workerId}, which comes nearest,`;
  return [
    ...missing.map((label) => ({
      where: "labels",
      expected: `labels that a live worker carries; ${name} carries ${worker.labels.join(", ") || "none"}`,
      found: label,
    })),
    ...lacks.map((lack) => faultOf(lack, memory ?? 0, name)),
  ];
}

function faultOf({ of, need, have }: LackedBytes, memory: number, name: string): Fault {
  if (of === "card") {
    const expected = `what a card of a live worker has; ${name} has cards of ${mebibytes(have)} at most`;
    return { where: "gpu_memory", expected, found: mebibytes(need) };
  }
  const expected = `what a live worker takes; ${name} takes ${mebibytes(have)} at most`;
  const reserved = memory > have ? "" : `, for which ${mebibytes(need)} are reserved`;
  return { where: "memory", expected, found: `${mebibytes(memory)}${reserved}` };
}
