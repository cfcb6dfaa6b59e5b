/** Forgets ended runs after their time, a few at a time, so that other writers are never held up for long. */
import type { Store } from "../store/store.ts";
import type { Term } from "./term.ts";

interface RetentionDeps {
  readonly store: Pick<Store, "deleteRunsEndedBefore">;
  readonly term: Pick<Term, "require">;
  /** Told of each run that was deleted. May not throw: nobody would be told of the others. */
  readonly onForgotten: (runId: string) => void;
}

const RUNS_PER_STEP = 20;

/** Deletes what ended before this time, for as long as the term goes on; the number of runs deleted. */
export async function sweepOldRuns({ store, term, onForgotten }: RetentionDeps, beforeMs: number): Promise<number> {
  let deleted = 0;
  for (;;) {
    term.require();
    const some = await store.deleteRunsEndedBefore(beforeMs, RUNS_PER_STEP);
    deleted += some.length;
    for (const runId of some) onForgotten(runId);
    if (some.length < RUNS_PER_STEP) return deleted;
  }
}
