/**
 * Adds a root and its children to their queues in one transaction: one write, one round trip, all of it or nothing.
 *
 * BullMQ's `FlowProducer.add` does the same, but lets nothing else into its transaction, makes each job's queue anew, and
 * does not look at every answer (bullmq#3851), so it has to be asked afterwards. This uses the parts it is made of, which
 * BullMQ keeps public for that: `Job.toFlowEntry`, `RedisQueueBackend.addJobToTransaction` and `execCommand`.
 */
import type { Job, Queue } from "bullmq";
import { InfrastructureError } from "../contract/errors.ts";

export interface FlowJob {
  readonly queue: Queue;
  /** Its parent, if it has one, is in its options. */
  readonly job: Job;
}

/** A hash that is set with the flow, before any job of it can be claimed. */
export interface FlowHash {
  readonly key: string;
  readonly fields: Readonly<Record<string, string | number>>;
  /** Whether fields that are there already are deleted. */
  readonly isAnew: boolean;
}

/** Safe to repeat: a job whose id is there already stays as it is. @throws {InfrastructureError} naming what was not added */
export async function addFlow(root: FlowJob, children: readonly FlowJob[], hash?: FlowHash): Promise<void> {
  const backend = root.queue.getBackend();
  const step = (await backend.client).multi();
  if (hash?.isAnew === true) step.del(hash.key);
  if (hash !== undefined) step.hset(hash.key, { ...hash.fields });
  const parentKey = root.queue.toKey(root.job.id ?? "");
  const parentDependenciesKey = `${parentKey}:dependencies`;
  // An only child may release its parent itself; of several, the first must not do so before the others are there.
  const deferParentRelease = children.length > 1;
  const entries = [
    { ...root, parentKeyOpts: { addToWaitingChildren: children.length > 0 } },
    ...children.map((child) => ({ ...child, parentKeyOpts: { parentKey, parentDependenciesKey, deferParentRelease } })),
  ];
  await Promise.all(
    entries.map(({ queue, job, parentKeyOpts }) => {
      const { jobData, jobId } = job.toFlowEntry(parentKeyOpts);
      return queue.getBackend().addJobToTransaction(step, jobData, jobId, parentKeyOpts);
    }),
  );
  if (deferParentRelease) {
    const release = [parentKey, parentDependenciesKey, root.queue.qualifiedName, root.job.id, Date.now()];
    backend.execCommand(step, "releaseParentIfNoPendingDependencies", release);
  }
  refuseFailed(await step.exec(), root.job.id ?? "");
}

/** A script answers with a negative number what it did not do; an empty answer is a transaction that was not carried out. */
function refuseFailed(answers: readonly [Error | null, unknown][] | null, jobId: string): void {
  if (answers === null) throw new InfrastructureError(`redis: expected to add flow ${jobId}, found it discarded`);
  for (const [error, answer] of answers) {
    if (error !== null) throw error;
    if (typeof answer === "number" && answer < 0) {
      throw new InfrastructureError(`redis: expected to add every job of flow ${jobId}, found answer ${answer}`);
    }
  }
}
