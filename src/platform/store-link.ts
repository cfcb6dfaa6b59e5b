/** Whether this process reaches the store: in its metrics, whatever process it is. */
import { answerWithin } from "./answer-within.ts";
import type { Metrics } from "./metrics.ts";

/** A scrape waits for its collectors: an answer that takes longer is none. */
const ANSWER_MS = 1_000;

export interface StoreLinkDeps {
  readonly metrics: Metrics;
  readonly store: { ping(): Promise<void> };
}

/** Asks the store at each exposition, and never twice at a time: what hangs must not use up its connections. */
export function exposeStoreLink({ metrics, store }: StoreLinkDeps): void {
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
