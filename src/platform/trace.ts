/** The trace id that goes from the enqueuing call to the last log line of the job. */
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";

const storage = new AsyncLocalStorage<string>();

/** A new trace id: 32 hex digits, as W3C Trace Context has them. */
export function newTraceId(): string {
  // Faster than random bytes, which are asked of the kernel each time.
  return randomUUID().replaceAll("-", "");
}

/** Runs `work` with this trace id on every log line below it. */
export function withTrace<T>(traceId: string, work: () => T): T {
  return storage.run(traceId, work);
}

export function currentTraceId(): string | undefined {
  return storage.getStore();
}
