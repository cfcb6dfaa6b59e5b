/** The chunks that a chunk asks for when it ends: files that are tried again. Pure. */
import type { FileEntry } from "../../contract/files.ts";
import { bucketOf } from "../../contract/profiles.ts";
import type { ChunkToAdd } from "../../platform/job-queues.ts";
import type { ChunkPlan } from "../result/chunk-plan.ts";
import type { RetryFile } from "../result/recorder.ts";
import { lossesOf } from "../result/suspicion.ts";

/**
 * Chunks for what is worth another try, grouped by when, by how much memory and room on the disk, and by the workers
 * lost with it; `needOf` tells the memory of some files.
 */
export function retryChunks(
  chunk: string,
  retries: readonly RetryFile[],
  needOf: (files: readonly FileEntry[]) => number,
): ChunkToAdd[] {
  const groups = new Map<string, { files: FileEntry[]; delayMs: number }>();
  for (const { entry, delayMs } of retries) {
    // Delays differ by their jitter: files of one second go together.
    const slot = Math.ceil(delayMs / 1_000);
    // What does not fit must not keep smaller outputs waiting: files of about one need go together.
    const room = entry.roomBytes === undefined ? "" : Math.ceil(Math.log2(entry.roomBytes + 1));
    const key = `${slot}/${bucketOf(needOf([entry]))}/${room}/${lossesOf(entry)}`;
    const group = groups.get(key) ?? { files: [], delayMs: 0 };
    group.files.push(entry);
    group.delayMs = Math.max(group.delayMs, Math.ceil(delayMs));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ files, delayMs }, at) => ({
    chunk: `${chunk}-${at}`,
    files,
    delayMs,
    memoryBytes: needOf(files),
  }));
}

/** The same for nodes of a flow, each on its own: one that takes long then keeps no other waiting. */
export function retryAlone(
  chunk: string,
  retries: readonly RetryFile[],
  needOf: (files: readonly FileEntry[]) => number,
): ChunkToAdd[] {
  if (retries.length === 1) return retryChunks(chunk, retries, needOf);
  return retries.flatMap((one, at) => retryChunks(`${chunk}-${at}`, [one], needOf));
}

/** The retry chunks of an earlier holder of this job, to be added again: their ids make that safe. */
export function restoreChunks(plan: Pick<ChunkPlan, "retry">): ChunkToAdd[] {
  return (plan.retry ?? []).map((retry) => ({
    chunk: retry.chunk,
    files: retry.files as FileEntry[],
    delayMs: retry.delayMs,
    ...(retry.memoryBytes === undefined ? {} : { memoryBytes: retry.memoryBytes }),
  }));
}
