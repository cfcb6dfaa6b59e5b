/** Whether this process reaches the store, and whether that takes what it writes: in its metrics, whatever process it is. */
import type { WriteFault } from "../contract/store-faults.ts";
import { answerWithin } from "./answer-within.ts";
import type { Metrics } from "./metrics.ts";

/** A scrape waits for its collectors: an answer that takes longer is none. */
const ANSWER_MS = 1_000;

export interface StoreLinkDeps {
  readonly metrics: Metrics;
  readonly store: { ping(): Promise<void>; onWriteFault(listener: (fault: WriteFault) => void): void };
}

/** Counts what the store refused to write. Asks it at each exposition, and never twice at a time: what hangs must not use up its connections. */
export function exposeStoreLink({ metrics, store }: StoreLinkDeps): void {
  store.onWriteFault((reason) => {
    metrics.counter("headroom_store_write_failures_total").inc({ reason });
  });
  let asked: Promise<true> | undefined;
  metrics.onCollect(async () => {
    asked ??= store
      .ping()
      .then(() => true as const)
      .finally(() => (asked = undefined));
    const isUp = await answerWithin(asked, ANSWER_MS);
    metrics.gauge("headroom_store_up").set(isUp === true ? 1 : 0);
  });
}
