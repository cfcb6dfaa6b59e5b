/** Forgets ended runs after their time, a few at a time, so that other writers are never held up for long. */
import type { Store } from "../store/store.ts";

const RUNS_PER_STEP = 20;

/** Deletes what ended more than `keepMs` ago; the number of runs deleted. */
export async function sweepOldRuns(store: Store, nowMs: number, keepMs: number): Promise<number> {
  let deleted = 0;
  for (;;) {
    const some = await store.deleteRunsEndedBefore(nowMs - keepMs, RUNS_PER_STEP);
    deleted += some;
    if (some < RUNS_PER_STEP) return deleted;
  }
}
