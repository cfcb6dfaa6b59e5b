/** Forgets ended runs after their time, a few at a time, so that other writers are never held up for long. */
import type { Store } from "../store/store.ts";
import type { Term } from "./term.ts";

const RUNS_PER_STEP = 20;

/** Deletes what ended before this time, for as long as the term goes on; the number of runs deleted. */
export async function sweepOldRuns(
  store: Pick<Store, "deleteRunsEndedBefore">,
  beforeMs: number,
  term: Pick<Term, "require">,
): Promise<number> {
  let deleted = 0;
  for (;;) {
    term.require();
    const some = await store.deleteRunsEndedBefore(beforeMs, RUNS_PER_STEP);
    deleted += some;
    if (some < RUNS_PER_STEP) return deleted;
  }
}
