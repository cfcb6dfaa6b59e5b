/** How much memory the files of a chunk ask for, as far as is known by now, and whether more than was reserved for it. */
import type { FileEntry } from "../contract/files.ts";
import { bucketOf } from "../contract/profiles.ts";
import { parseQueueName } from "../contract/queues.ts";
import type { LiveRun } from "../platform/run-hash.ts";
import type { LearnedRuns } from "./governor/learned-runs.ts";
import type { LargestJob } from "./largest-job.ts";

export interface MemoryNeedDeps {
  readonly learned: Pick<LearnedRuns, "chunkBytes">;
  readonly largestJob: Pick<LargestJob, "bytes">;
}

/** Tells the bytes to ask for, for some files; a guess never more than some live worker could admit. */
export async function memoryNeed(
  { learned, largestJob }: MemoryNeedDeps,
  run: LiveRun,
): Promise<(files: readonly FileEntry[]) => number> {
  const largest = await largestJob.bytes(run.spec.resources.labels);
  return (files) => learned.chunkBytes(run, files, largest);
}

/**
 * What a chunk of this queue is to ask for instead, in bytes, when more is needed than was reserved for it: while it waited,
 * others of its class were seen to take more. Undefined when it fits.
 */
export async function outgrownNeed(
  deps: MemoryNeedDeps,
  run: LiveRun,
  { files, queue }: { readonly files: readonly FileEntry[]; readonly queue: string },
): Promise<number | undefined> {
  const { executor } = run.spec;
  if ((executor !== "process" && executor !== "infer") || files.length === 0) return undefined;
  const { bucket } = parseQueueName(queue);
  // Most fit: only for the others is it worth a round trip to ask what the largest worker could admit.
  if (bucketOf(deps.learned.chunkBytes(run, files, Infinity)) <= bucket) return undefined;
  const memoryBytes = (await memoryNeed(deps, run))(files);
  return bucketOf(memoryBytes) > bucket ? memoryBytes : undefined;
}
