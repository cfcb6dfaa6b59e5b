/** Whether a binary that this worker does not have is nowhere: then more starts of its files are of no use. */
import type { Redis } from "ioredis";
import type { FileEntry } from "../../contract/files.ts";
import { effectiveProfile } from "../../contract/profile-changes.ts";
import { keys } from "../../contract/queues.ts";
import type { Clock } from "../../platform/clock.ts";
import { carries, isClaiming } from "../../platform/explain-workers.ts";
import type { JobQueues } from "../../platform/job-queues.ts";
import type { LiveRun, RunHash } from "../../platform/run-hash.ts";
import { isAlive, loadHeartbeats } from "../../platform/worker-heartbeats.ts";

export interface MissingDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly hash: Pick<RunHash, "set">;
  readonly queues: Pick<JobQueues, "profileChanges">;
  readonly clock: Clock;
}

/** So many starts without the binary at least, over so long a time: one that is being replaced is back by then. */
const LEAST_STARTS = 6;
const LEAST_MS = 10_000;
/** What a worker said longer ago says nothing now: the longest pause between two starts, twice. */
const SAID_MS = 60_000;

type Missed = NonNullable<FileEntry["missing"]>;

/** What is kept of a file after one more start; one that found its binary begins the count anew. */
export function missedSoFar(
  before: Missed | undefined,
  missingBinary: string | undefined,
  nowMs: number,
): Missed | undefined {
  if (missingBinary === undefined) return undefined;
  return { starts: (before?.starts ?? 0) + 1, sinceMs: before?.sinceMs ?? nowMs };
}

/** Whether that was often enough, over a time long enough, to give the file up. */
export function isMissedForLong({ starts, sinceMs }: Missed, nowMs: number): boolean {
  return starts >= LEAST_STARTS && nowMs - sinceMs >= LEAST_MS;
}

/** What the workers of one run say of its binaries; asked once for each chunk. */
export class MissingBinaries {
  readonly #deps: MissingDeps;
  readonly #run: LiveRun;
  readonly #answers = new Map<string, Promise<boolean>>();

  constructor(deps: MissingDeps, run: LiveRun) {
    this.#deps = deps;
    this.#run = run;
  }

  /** Says that this worker lacks the binary; whether every live worker that may run the job has said so a moment ago. */
  isNowhere(binary: string, workerId: string): Promise<boolean> {
    const answer = this.#answers.get(binary) ?? this.#ask(binary, workerId);
    this.#answers.set(binary, answer);
    return answer;
  }

  async #ask(binary: string, workerId: string): Promise<boolean> {
    const { redis, kp, hash, queues, clock } = this.#deps;
    const { runId, spec } = this.#run;
    const nowMs = clock.nowMs();
    await hash.set(this.#run, { [fieldOf(workerId)]: JSON.stringify({ binary, atMs: nowMs } satisfies Said) });
    const { labels } = effectiveProfile(spec.resources, queues.profileChanges.get(spec.profile));
    const able = (await loadHeartbeats(redis, kp)).filter(
      (worker) => isAlive(worker, nowMs) && isClaiming(worker) && carries(worker, labels),
    );
    if (able.length === 0) return false;
    const said = await redis.hmget(keys.run(kp, runId), ...able.map((worker) => fieldOf(worker.workerId)));
    return said.every((text) => {
      const last = text === null ? undefined : (JSON.parse(text) as Said);
      return last?.binary === binary && nowMs - last.atMs <= SAID_MS;
    });
  }
}

/** The last binary that a worker did not have, and when. */
interface Said {
  readonly binary: string;
  readonly atMs: number;
}

function fieldOf(workerId: string): string {
  return `missing.${workerId}`;
}
