/** From a checked specification to jobs in Redis: reserve the output folder, write the run, add its flow. */
import type { Redis } from "ioredis";
import { randomUUID } from "node:crypto";
import { ConflictError } from "../contract/errors.ts";
import { needsNameCheck } from "../contract/output-names.ts";
import type { RunRecord } from "../contract/run-record.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { ChunkToAdd, JobQueues } from "../platform/job-queues.ts";
import { findHolder, heldText, type ClaimHolder } from "../platform/output-claim.ts";
import { OutputRegistry } from "../platform/output-registry.ts";
import { liveFields, type RunHash } from "../platform/run-hash.ts";
import { plainPath } from "../platform/scan/source.ts";
import type { Store } from "../store/store.ts";

export interface SubmitDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store | undefined;
  readonly queues: JobQueues;
  readonly hash: RunHash;
}

/** So many named files need no scan: their chunks are added with the run, and start one hop sooner. */
const DIRECT_FILES = 8;

/** The chunks of a run that needs no scan, or that it has to be scanned. */
export type PlannedChunks = readonly ChunkToAdd[] | "scan";

/** A new run id: time first, so that ids sort by age; no dots, since job ids are built from it. */
export function newRunId(nowMs: number): string {
  // The first twelve digits of such a UUID are random.
  return `${nowMs.toString(36).padStart(9, "0")}${randomUUID().replaceAll("-", "").slice(0, 10)}`;
}

/** Takes the output folder for this run. @throws {ConflictError} naming the run that writes there */
export async function claimOutput(deps: SubmitDeps, runId: string, spec: RunSpec): Promise<void> {
  const { root, from } = spec.output;
  if (from === "none") return;
  const outputs = new OutputRegistry(deps.redis, deps.kp);
  for (let round = 0; round < 3; round += 1) {
    const holder = await outputs.claim(root, runId);
    if (holder === undefined) return refuseForeign(deps, outputs, { runId, root });
    if (!((await hasEnded(deps, holder.runId)) ?? true)) {
      const where = holder.root === root ? "" : `, which writes to ${holder.root}`;
      throw new ConflictError(
        `output folder ${root}: expected no other run to write there, found run ${holder.runId}${where}; wait for it, resume it, cancel it, or name another folder`,
      );
    }
    // The holder ended without giving the folder back. Only its own entry is taken off, so two takers cannot both win.
    await outputs.release(holder.root, holder.runId);
  }
  throw new ConflictError(`output folder ${root}: other runs take it again and again`);
}

/**
 * Refuses a folder that a run of another cluster or data folder is seen to write to. It is the worker that claims it
 * for good; this tells early what can be seen from here.
 */
async function refuseForeign(
  deps: SubmitDeps,
  outputs: OutputRegistry,
  { runId, root }: { runId: string; root: string },
): Promise<void> {
  const holder = await findForeignHolder(deps, runId, root);
  if (holder === undefined) return;
  await outputs.release(root, runId);
  throw new ConflictError(heldText(root, holder));
}

/** The run of another cluster or data folder that is seen to write to the folder. */
export async function findForeignHolder(
  deps: Pick<SubmitDeps, "hash" | "store">,
  runId: string,
  root: string,
): Promise<ClaimHolder | undefined> {
  try {
    return await findHolder(root, {
      nowMs: Date.now(),
      runId,
      knowsEnd: async (id) => (await hasEnded(deps, id)) ?? false,
    });
  } catch {
    return undefined; // not to be seen from this machine: the worker looks again, and claims
  }
}

/** Undefined when nobody here knows the run. */
function hasEnded({ hash, store }: Pick<SubmitDeps, "hash" | "store">, runId: string): Promise<boolean | undefined> {
  return hash.hasEnded(runId, async () => (await store?.runs.get(runId))?.state);
}

/** Writes the live side of a run and adds its jobs. Safe to repeat: ids are made from the run and its epoch. */
export async function enqueueRun(
  deps: SubmitDeps,
  run: Pick<RunRecord, "id" | "epoch" | "spec" | "createdAtMs">,
  chunks: PlannedChunks,
): Promise<void> {
  const { id: runId, epoch, spec, createdAtMs } = run;
  const known = chunks === "scan" ? ofFlow(spec) : { total: chunks.length, chunks: chunks.length, scanned: "1" };
  const live = { ...liveFields({ spec, epoch, state: "queued", createdAtMs }), ...known };
  await deps.queues.addRun({ runId, epoch, traceId: spec.traceId ?? runId }, spec, chunks, live);
}

/** What there is to do in a flow is known before it begins. */
function ofFlow({ flow }: RunSpec): Readonly<Record<string, string | number>> {
  return flow === undefined ? {} : { total: flow.nodes, scanned: "1" };
}

/** The chunks of a few named files, one each; `scan` when the files have to be found, or compared with each other. */
export function planChunks(spec: Pick<RunSpec, "input" | "perChunk" | "output">): PlannedChunks {
  const { input } = spec;
  if (input.kind !== "list" || input.paths === undefined || spec.perChunk) return "scan";
  const paths = input.paths.map(plainPath);
  if ((input.include ?? input.exclude ?? input.symlinks) !== undefined) return "scan";
  if (paths.length === 0 || paths.length > DIRECT_FILES || paths.includes("")) return "scan";
  if (new Set(paths).size < paths.length || mayShareOutput(spec, paths)) return "scan";
  // Their sizes are not asked for: a chunk of one file needs none, and the worker that runs it sees it anyway.
  return paths.map((path, index) => ({ chunk: String(index), files: [{ index, path, bytes: 0 }] }));
}

function mayShareOutput(spec: Pick<RunSpec, "input" | "output">, paths: readonly string[]): boolean {
  return paths.length > 1 && spec.output.from !== "none" && needsNameCheck(spec);
}
