/**
 * Whose turn a job is, among the workers that could all start it: that of the worker that would be the least loaded with
 * it, for its size. Without this the first worker to wake takes all that it has room for, while others stand idle. Pure.
 *
 * Load is the share of a worker's capacity that is promised, of the resource of which that share is the largest (the
 * dominant share: Ghodsi et al., Dominant Resource Fairness, NSDI 2011).
 */
import { z } from "zod";
import type { Amounts } from "../contract/resources.ts";

const amounts = z.object({
  memoryBytes: z.number().nonnegative(),
  cpuCores: z.number().nonnegative(),
  processes: z.number().nonnegative(),
});

/** What one worker tells the others of itself, several times a second while that changes. */
export const nodeLoad = z.object({
  workerId: z.string(),
  isOpen: z.boolean(),
  labels: z.array(z.string()),
  capacity: amounts,
  /** Promised to the jobs that it holds. */
  reserved: amounts,
  /** Queues that hold a job for which it has no room. */
  withoutRoom: z.array(z.string()),
});
export type NodeLoad = z.output<typeof nodeLoad>;

export interface TurnQuestion {
  readonly queue: string;
  readonly labels: readonly string[];
  /** What the job would be promised here. */
  readonly need: Amounts;
}

/** Workers that differ by less are alike: to wait for the other would cost more than it evens out. */
const ALIKE = 0.1;
const FULL = 1 + 1e-9;

/** The worker whose turn the job is before that of `own`; undefined when it is this worker's. */
export function decideTurn(own: NodeLoad, others: readonly NodeLoad[], question: TurnQuestion): NodeLoad | undefined {
  const mine = loadWith(own, question.need);
  let first: NodeLoad | undefined;
  let least = mine - ALIKE;
  for (const other of others) {
    const load = loadWith(other, question.need);
    if (load >= least || load > FULL || !couldStart(other, question)) continue;
    first = other;
    least = load;
  }
  return first;
}

function couldStart({ isOpen, labels, withoutRoom }: NodeLoad, question: TurnQuestion): boolean {
  return isOpen && !withoutRoom.includes(question.queue) && question.labels.every((label) => labels.includes(label));
}

/** The dominant share of a worker once it has this job too. */
export function loadWith({ capacity, reserved }: Pick<NodeLoad, "capacity" | "reserved">, need: Amounts): number {
  const shareOf = (resource: keyof Amounts) =>
    (reserved[resource] + need[resource]) / Math.max(1e-9, capacity[resource]);
  return Math.max(shareOf("memoryBytes"), shareOf("cpuCores"), shareOf("processes"));
}
