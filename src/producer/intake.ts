/** Whether the intake takes a new run now. */
import { assertNever } from "../platform/assert.ts";

export interface IntakeFacts {
  /** Jobs that wait in all queues. */
  readonly waitingJobs: number;
  readonly maxWaiting: number;
  /** Used memory of Redis over its limit, 0 to 1; null when it has no limit. */
  readonly memoryFill: number | null;
}

export type RefusalReason = "backlog" | "redis-memory";

export type IntakeDecision =
  | { readonly kind: "accept" }
  | { readonly kind: "refuse"; readonly reason: RefusalReason; readonly retryAfterSeconds: number };

/** Above this, Redis is near the point where every write fails, those of running jobs included. */
const MAX_MEMORY_FILL = 0.8;
/** Memory comes back when runs end, which takes longer than a queue takes to drain a little. */
const MEMORY_RETRY_SECONDS = 60;
const MIN_BACKLOG_RETRY_SECONDS = 5;
const MAX_BACKLOG_RETRY_SECONDS = 300;

/** Decides by the backlog and by the memory of Redis. The longer the backlog, the later the caller should come back. */
export function decideIntake({ waitingJobs, maxWaiting, memoryFill }: IntakeFacts): IntakeDecision {
  if (memoryFill !== null && memoryFill >= MAX_MEMORY_FILL) {
    return { kind: "refuse", reason: "redis-memory", retryAfterSeconds: MEMORY_RETRY_SECONDS };
  }
  if (waitingJobs >= maxWaiting) {
    const seconds = Math.ceil(MIN_BACKLOG_RETRY_SECONDS * (waitingJobs / Math.max(1, maxWaiting)));
    const retryAfterSeconds = Math.min(MAX_BACKLOG_RETRY_SECONDS, Math.max(MIN_BACKLOG_RETRY_SECONDS, seconds));
    return { kind: "refuse", reason: "backlog", retryAfterSeconds };
  }
  return { kind: "accept" };
}

/** A refusal in words. */
export function refusalWords(reason: RefusalReason, { waitingJobs, maxWaiting, memoryFill }: IntakeFacts): string {
  switch (reason) {
    case "backlog":
      return `${waitingJobs} jobs wait, expected fewer than ${maxWaiting}`;
    case "redis-memory":
      return `redis uses ${Math.round((memoryFill ?? 0) * 100)} % of its memory, expected less than ${MAX_MEMORY_FILL * 100} %`;
    default:
      return assertNever(reason);
  }
}
