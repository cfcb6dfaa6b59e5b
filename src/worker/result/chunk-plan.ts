/** What is left to do of a chunk, when it may have been begun before: by a worker that was lost, or in an earlier epoch. */
import type { Redis } from "ioredis";
import { rm } from "node:fs/promises";
import { basename, resolve, sep } from "node:path";
import type { FileEntry } from "../../contract/files.ts";
import { QUARANTINE_AFTER_CRASHES } from "../../contract/outcomes.ts";
import { isTemporaryName } from "../../contract/output-names.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import { keys } from "../../contract/queues.ts";
import type { LiveRun } from "../../platform/run-hash.ts";
import type { Store } from "../../store/store.ts";
import type { KnownOutput } from "../executor/chunk-request.ts";
import type { Fence, Intent, Journal } from "./fence.ts";

export interface ChunkPlan {
  /** Files without an outcome in this epoch. */
  readonly files: readonly FileEntry[];
  readonly known: ReadonlyMap<string, KnownOutput>;
  /** Path to the digest of an output that was about to be published when a worker was lost. */
  readonly intents: ReadonlyMap<string, string>;
  readonly quarantined: ReadonlySet<string>;
  readonly crashes: ReadonlyMap<string, number>;
  /** Retry chunks that this chunk had asked for already. */
  readonly retry: Journal["retry"];
}

export interface PlanDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
}

/** How often each (binary, arguments, input) has crashed, by crash digest. */
export async function loadCrashes(redis: Redis, kp: string): Promise<ReadonlyMap<string, number>> {
  const counts = await redis.hgetall(keys.crashes(kp));
  return new Map(Object.entries(counts).map(([digest, count]) => [digest, Number(count)]));
}

/** The chunk as it was claimed. */
export interface ChunkFacts {
  readonly files: readonly FileEntry[];
  readonly fence: Fence;
  /** A worker held this job before. */
  readonly isRepeat: boolean;
  /** Outputs may be written, so what is left of earlier ones may be removed. */
  readonly mayClean: boolean;
  /** When read already. */
  readonly crashes: ReadonlyMap<string, number> | undefined;
}

/** Reads what is known of the chunk's files. */
export async function planChunk(deps: PlanDeps, run: LiveRun, chunk: ChunkFacts): Promise<ChunkPlan> {
  const paths = chunk.files.map((file) => file.path);
  const rows = chunk.isRepeat || run.epoch > 0 ? await deps.store.files.get(run.runId, paths) : [];
  const settled = new Set(rows.filter((row) => row.epoch === run.epoch).map((row) => row.path));
  const journal = chunk.isRepeat
    ? await recover(run, chunk, settled)
    : { intents: new Map<number, Intent>(), retry: undefined };
  const crashes = chunk.crashes ?? (await loadCrashes(deps.redis, deps.kp));
  for (const retry of journal.retry ?? []) {
    for (const file of retry.files) settled.add((file as FileEntry).path);
  }
  const byIndex = new Map(chunk.files.map((file) => [file.index, file.path]));
  const intents = new Map<string, string>();
  for (const [index, intent] of journal.intents) {
    const path = byIndex.get(index);
    if (path !== undefined && intent.o !== undefined) intents.set(path, intent.o);
  }
  const left = chunk.files.filter((file) => !settled.has(file.path)).map((file) => withLosses(file, journal.intents));
  return {
    // Suspects last: where workers are killed soon after they start, the same innocent file must not be hit each time.
    files: left.toSorted((a, b) => lossesOf(a) - lossesOf(b)),
    known: new Map(
      rows.filter((row) => row.epoch < run.epoch && row.outcome === "succeeded").map((row) => [row.path, row]),
    ),
    intents,
    quarantined: new Set(
      [...crashes].filter(([, count]) => count >= QUARANTINE_AFTER_CRASHES).map(([digest]) => digest),
    ),
    crashes,
    retry: journal.retry,
  };
}

/** Counts a crash for what ran when the worker was lost, and removes the temporary files it left. */
async function recover(
  run: LiveRun,
  { fence, mayClean }: { fence: Fence; mayClean: boolean },
  settled: ReadonlySet<string>,
): Promise<Journal> {
  const journal = await fence.read();
  const intents = new Map<number, Intent>();
  const accounted: number[] = [];
  for (const [index, intent] of journal.intents) {
    if (mayClean && intent.t !== "") await removeTempOf(run.spec.output.root, intent.t);
    // A row may have been written without its entry being deleted: that file had ended.
    if (settled.has(intent.p)) accounted.push(index);
    else if (intent.o === undefined && intent.c !== undefined && (await fence.blame(index, intent))) {
      intents.set(index, { ...intent, n: (intent.n ?? 0) + 1 });
    } else intents.set(index, intent);
  }
  await fence.settle(accounted);
  return { intents, retry: journal.retry };
}

/** The journal is in Redis, and what is there must not make a worker remove anything but a temporary file. */
async function removeTempOf(outputRoot: string, relative: string): Promise<void> {
  const temp = resolve(outputRoot, relative);
  const isOurs = temp.startsWith(outputRoot + sep) && isTemporaryName(basename(temp));
  if (isOurs) await rm(fsPath(temp), { force: true });
}

/** How often a worker was lost while the file's process ran. */
export function lossesOf(file: FileEntry): number {
  return file.tries?.["node-lost"] ?? 0;
}

/** A file that was there when a worker was lost is started alone, so that the next loss tells which one it was. */
function withLosses(file: FileEntry, intents: Journal["intents"]): FileEntry {
  const losses = intents.get(file.index)?.n ?? 0;
  return losses === 0 ? file : { ...file, tries: { ...file.tries, "node-lost": losses } };
}
