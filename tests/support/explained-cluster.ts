/** What Redis and the store know of a run, its jobs and the workers, for tests that ask why it is not running. */
import type { Redis } from "ioredis";
import { fileEntry, type AttemptEnd, type AttemptRecord } from "../../src/contract/files.ts";
import type { RunState } from "../../src/contract/outcomes.ts";
import { keyPrefix, keys } from "../../src/contract/queues.ts";
import { noFiles, type RunRecord } from "../../src/contract/run-record.ts";
import type { RunSpec } from "../../src/contract/run-spec.ts";
import type { Explanation, WorkerHeartbeat } from "../../src/contract/status.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { explain } from "../../src/platform/explain.ts";
import { execPlace, JobQueues, type ChunkToAdd } from "../../src/platform/job-queues.ts";
import { beat, testSpec, testWorker } from "./board-fixture.ts";
import { deletePrefix } from "./redis.ts";

/** One file. */
export const files = [fileEntry.parse({ index: 0, path: "a", bytes: 1 })];
export const ref = { runId: "r1", epoch: 0, traceId: "t" };

export function attempt(end: AttemptEnd, message: string): AttemptRecord {
  const figures = { attempt: 1, atMs: 1, durationMs: null, workerId: null, outputSha256: null };
  return { path: "a", end, failureClass: "infrastructure", message, ...figures };
}

export class ExplainedCluster implements AsyncDisposable {
  readonly queues: JobQueues;
  readonly redis: Redis;
  readonly prefix: string;
  state: RunState = "running";
  spec: RunSpec = testSpec();
  attempts: readonly AttemptRecord[] = [];
  isEmbedded = false;

  constructor(redis: Redis, prefix: string) {
    this.redis = redis;
    this.prefix = prefix;
    this.queues = new JobQueues(redis, keyPrefix(prefix));
  }

  explain(id = "r1"): Promise<Explanation> {
    const findRun = (runId: string) => Promise.resolve(runId === "r1" ? this.record() : undefined);
    const { redis, queues, prefix, isEmbedded } = this;
    const findAttempts = () => Promise.resolve(this.attempts);
    const deps = { redis, prefix: keyPrefix(prefix), queues, clock: systemClock, isEmbedded, findRun, findAttempts };
    return explain(deps, id);
  }

  async codes(id = "r1"): Promise<string[]> {
    return (await this.explain(id)).reasons.map((reason) => reason.code);
  }

  /** The queue of its chunks. */
  get queue(): string {
    return execPlace(this.spec).name;
  }

  get kp(): string {
    return keyPrefix(this.prefix);
  }

  /** Enqueues the run with one chunk that is known, or with its scan. */
  async submit(chunks: readonly ChunkToAdd[] | "scan" = [{ chunk: "1", files }]): Promise<void> {
    await this.queues.addRun(ref, this.spec, chunks);
  }

  /** A worker says that it lives, and what it says of its queues. */
  async beat(change: Partial<WorkerHeartbeat> = {}): Promise<void> {
    await beat(this.redis, this.prefix, testWorker({ state: "working", ...change }));
  }

  /** A worker's heartbeat is gone. */
  async forget(workerId: string): Promise<void> {
    await this.redis.srem(keys.workers(this.kp), workerId);
    await this.redis.del(keys.worker(this.kp, workerId));
  }

  /** The first waiting job of a queue is held by somebody, as a claim leaves it. */
  async hold(queue: string, jobId: string): Promise<void> {
    const list = (name: string) => `${this.kp}:${queue}:${name}`;
    await this.redis.lmove(list("wait"), list("active"), "RIGHT", "LEFT");
    await this.redis.set(list(`${jobId}:lock`), "a token", "PX", 30_000);
    await this.redis.hset(list(jobId), "processedOn", Date.now());
  }

  /** The lock ran out, and the job went back to its queue. */
  async giveBack(queue: string, jobId: string): Promise<void> {
    const list = (name: string) => `${this.kp}:${queue}:${name}`;
    await this.redis.del(list(`${jobId}:lock`));
    await this.redis.lmove(list("active"), list("wait"), "LEFT", "RIGHT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.queues.close();
    await deletePrefix(this.redis, this.prefix);
  }

  record(): RunRecord {
    return {
      id: "r1",
      state: this.state,
      epoch: 0,
      spec: this.spec,
      createdAtMs: 1_000,
      startedAtMs: null,
      endedAtMs: this.state === "broken" ? 2_000 : null,
      counts: this.state === "broken" ? noFiles : null,
      message: this.state === "broken" ? "no space left" : null,
      idempotencyKey: null,
      report: null,
    };
  }
}
