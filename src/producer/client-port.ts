/** What the HTTP intake needs of the client library; `client.ts` is the implementation. */
import type { RunState } from "../contract/outcomes.ts";
import type { RunRecord } from "../contract/run-record.ts";
import type { RunRequest } from "../contract/run-request.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { CancelAck, Explanation, RunStatus } from "../contract/status.ts";
import type { FlowClient } from "./flow/flow-client.ts";
import type { ScheduleClient } from "./schedules.ts";

export interface RunOptions {
  readonly idempotencyKey?: string;
  readonly traceId?: string;
  /** The caller itself sees to it that the key stands for one request: what was asked for is not compared. */
  readonly isKeyChecked?: boolean;
}

export interface RunListQuery {
  readonly limit: number;
  readonly before?: string;
  readonly states?: readonly RunState[];
}

export interface Backlog {
  readonly waitingJobs: number;
  /** Used memory of Redis over its limit, 0 to 1; null when it has no limit. */
  readonly memoryFill: number | null;
}

export interface ClientPort {
  /** Checks, stores and enqueues a run, or returns the earlier one of the same idempotency key. @throws {InvalidInputError} {PolicyError} {IdempotencyKeyReusedError} */
  run(request: RunRequest, options?: RunOptions): Promise<{ run: RunRecord; created: boolean }>;
  /** What the live worker that comes nearest lacks for such a run; empty when one can run it, or none is there to say. */
  lacking(spec: RunSpec): Promise<readonly string[]>;
  /** @throws {NotFoundError} */
  status(runId: string): Promise<RunStatus>;
  /** Newest first; `before` is the id of the last run of the page before. */
  list(query: RunListQuery): Promise<RunRecord[]>;
  /** @throws {NotFoundError} */
  cancel(runId: string, reason: string): Promise<CancelAck>;
  /**
   * Why a run or a job is not running, what a worker (by its id or its host) takes and what not, or why the jobs of a
   * profile wait. @throws {NotFoundError}
   */
  explain(id: string): Promise<Explanation>;
  backlog(): Promise<Backlog>;
  /** Flows: graphs of nodes. */
  readonly flows: FlowClient;
  /** Runs that start again and again. */
  readonly schedules: ScheduleClient;
}
