/** From a checked specification to jobs in Redis: reserve the output folder, write the run, add its flow. */
import type { Redis } from "ioredis";
import { createHash, randomUUID } from "node:crypto";
import { ConflictError } from "../contract/errors.ts";
import { isTerminal } from "../contract/outcomes.ts";
import { keys } from "../contract/queues.ts";
import type { RunRecord } from "../contract/run-record.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { ChunkToAdd, JobQueues } from "../platform/job-queues.ts";
import { liveFields, type RunHash } from "../platform/run-hash.ts";
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
  if (spec.output.from === "none") return;
  const key = keys.outputLock(deps.kp, createHash("sha256").update(spec.output.root).digest("hex"));
  for (let round = 0; round < 3; round += 1) {
    if ((await deps.redis.set(key, runId, "NX")) === "OK") return;
    const holder = await deps.redis.get(key);
    if (holder === runId) return;
    if (holder === null) continue;
    if (!(await hasEnded(deps, holder))) {
      throw new ConflictError(
        `output folder ${spec.output.root}: expected no other run to write there, found run ${holder}; wait for it, resume it, cancel it, or name another folder`,
      );
    }
    // The holder ended without giving the folder back. Only its own value is deleted, so two takers cannot both win.
    await deps.redis.eval(
      'if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end',
      1,
      key,
      holder,
    );
  }
  throw new ConflictError(`output folder ${spec.output.root}: other runs take it again and again`);
}

async function hasEnded(deps: SubmitDeps, runId: string): Promise<boolean> {
  const state = (await deps.hash.state(runId)) ?? (await deps.store?.runs.get(runId))?.state;
  return state === undefined || isTerminal(state);
}

/** Writes the live side of a run and adds its jobs. Safe to repeat: ids are made from the run and its epoch. */
export async function enqueueRun(
  deps: SubmitDeps,
  run: Pick<RunRecord, "id" | "epoch" | "spec" | "createdAtMs">,
  chunks: PlannedChunks,
): Promise<void> {
  const { id: runId, epoch, spec, createdAtMs } = run;
  const known = chunks === "scan" ? {} : { total: chunks.length, chunks: chunks.length, scanned: "1" };
  const live = { ...liveFields({ spec, epoch, state: "queued", createdAtMs }), ...known };
  await deps.queues.addRun({ runId, epoch, traceId: spec.traceId ?? runId }, spec, chunks, live);
}

/** The chunks of a few named files, one each; `scan` when the files have to be found. */
export function planChunks({ input, perChunk }: Pick<RunSpec, "input" | "perChunk">): PlannedChunks {
  if (input.kind !== "list" || input.paths === undefined || perChunk) return "scan";
  const { paths } = input;
  if (paths.length === 0 || paths.length > DIRECT_FILES || new Set(paths).size < paths.length) return "scan";
  // Their sizes are not asked for: a chunk of one file needs none, and the worker that runs it sees it anyway.
  return paths.map((path, index) => ({ chunk: String(index), files: [{ index, path, bytes: 0 }] }));
}
