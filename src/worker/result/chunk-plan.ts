/** What is left to do of a chunk, when it may have been begun before: by a worker that was lost, or in an earlier epoch. */
import type { Redis } from "ioredis";
import { basename, resolve, sep } from "node:path";
import type { FileEntry, FileResult } from "../../contract/files.ts";
import { QUARANTINE_AFTER_CRASHES } from "../../contract/outcomes.ts";
import { isTemporaryName } from "../../contract/output-names.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import { keys } from "../../contract/queues.ts";
import type { LiveRun } from "../../platform/run-hash.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Store } from "../../store/store.ts";
import type { KnownOutput } from "../executor/chunk-request.ts";
import type { Fence, Intent, Journal } from "./fence.ts";
import { NOT_REMOVED, removeTemp } from "./publish.ts";
import { UNREST_MS } from "./suspicion.ts";

export interface ChunkPlan {
  /** Files without an outcome in this epoch. */
  readonly files: readonly FileEntry[];
  readonly known: ReadonlyMap<string, KnownOutput>;
  /** Path to the digest of an output that was about to be published when a worker was lost. */
  readonly intents: ReadonlyMap<string, string>;
  readonly quarantined: ReadonlySet<string>;
  readonly crashes: ReadonlyMap<string, number>;
  /** Crash digests and how many workers were lost with them. */
  readonly losses: ReadonlyMap<string, number>;
  /** Since when no loss of a worker was noticed; Infinity: for longer than that is known. */
  readonly calmMs: number;
  /** Retry chunks that this chunk had asked for already. */
  readonly retry: Journal["retry"];
}

export interface PlanDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly logger: Logger;
}

/** What is held against files, by crash digest, and how calm it has been. */
export type Blame = Pick<ChunkPlan, "crashes" | "losses" | "calmMs">;

export async function loadBlame(redis: Redis, kp: string): Promise<Blame> {
  const [crashes, losses, unrestMs] = await Promise.all([
    loadCounts(redis, keys.crashes(kp)),
    loadCounts(redis, keys.losses(kp)),
    redis.pttl(keys.unrest(kp)),
  ]);
  return { crashes, losses, calmMs: unrestMs > 0 ? UNREST_MS - unrestMs : Infinity };
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
  readonly blame: Blame | undefined;
}

/** Reads what is known of the chunk's files. */
export async function planChunk(deps: PlanDeps, run: LiveRun, chunk: ChunkFacts): Promise<ChunkPlan> {
  const paths = chunk.files.map((file) => file.path);
  const rows = chunk.isRepeat || run.epoch > 0 ? await deps.store.files.get(run.runId, paths) : [];
  const settled = new Set(rows.filter((row) => row.epoch === run.epoch).map((row) => row.path));
  const journal = chunk.isRepeat
    ? await recover(deps, run, chunk, settled)
    : { intents: new Map<number, Intent>(), retry: undefined };
  const { crashes, losses, calmMs } = chunk.blame ?? (await loadBlame(deps.redis, deps.kp));
  for (const retry of journal.retry ?? []) {
    for (const file of retry.files) settled.add((file as FileEntry).path);
  }
  const byIndex = new Map(chunk.files.map((file) => [file.index, file.path]));
  const intents = new Map<string, string>();
  for (const [index, intent] of journal.intents) {
    const path = byIndex.get(index);
    if (path !== undefined && intent.o !== undefined) intents.set(path, intent.o);
  }
  return {
    files: chunk.files.filter((file) => !settled.has(file.path)),
    known: knownOf(rows, run),
    intents,
    quarantined: quarantinedOf(crashes),
    crashes,
    losses,
    calmMs,
    retry: journal.retry,
  };
}

/** The rows of earlier epochs that may still hold. */
export function knownOf(
  rows: readonly (FileResult & { readonly epoch: number })[],
  { epoch }: Pick<LiveRun, "epoch">,
): Map<string, KnownOutput> {
  return new Map(rows.filter((row) => row.epoch < epoch && row.outcome === "succeeded").map((row) => [row.path, row]));
}

/** The crash digests of what is not run any more. */
export function quarantinedOf(crashes: Blame["crashes"]): Set<string> {
  return new Set([...crashes].filter(([, count]) => count >= QUARANTINE_AFTER_CRASHES).map(([digest]) => digest));
}

async function loadCounts(redis: Redis, key: string): Promise<Map<string, number>> {
  return new Map(Object.entries(await redis.hgetall(key)).map(([digest, count]) => [digest, Number(count)]));
}

/** Counts a crash for what ran when the worker was lost, and removes the temporary files it left. */
async function recover(
  deps: PlanDeps,
  run: LiveRun,
  { fence, mayClean }: { fence: Fence; mayClean: boolean },
  settled: ReadonlySet<string>,
): Promise<Journal> {
  const journal = await fence.read();
  const intents = new Map<number, Intent>();
  const accounted: number[] = [];
  for (const [index, intent] of journal.intents) {
    if (mayClean && intent.t !== "") await removeTempOf(deps, run, intent.t);
    // A row may have been written without its entry being deleted: that file had ended.
    if (settled.has(intent.p)) accounted.push(index);
    else if (intent.o === undefined && intent.c !== undefined) await fence.blame(index, intent);
    else intents.set(index, intent);
  }
  await fence.settle(accounted);
  return { intents, retry: journal.retry };
}

/** The journal is in Redis, and what is there must not make a worker remove anything but a temporary file. */
async function removeTempOf({ logger }: PlanDeps, run: LiveRun, relative: string): Promise<void> {
  const outputRoot = run.spec.output.root;
  const temp = resolve(outputRoot, relative);
  const isOurs = temp.startsWith(outputRoot + sep) && isTemporaryName(basename(temp));
  if (!isOurs) return;
  const reason = await removeTemp(fsPath(temp));
  // That must not keep the chunk: the end of the run tries again.
  if (reason !== null) logger.warn({ runId: run.runId, temp, reason }, NOT_REMOVED);
}
