/** Runs that are nodes of flows are begun by their flows. */
import { ConflictError, NotFoundError } from "../contract/errors.ts";
import type { RunRecord } from "../contract/run-record.ts";

/**
 * The run, if it is one of its own. @throws {NotFoundError} when there is none
 * @throws {ConflictError} for one that does the work of a node: what it makes would reach nobody
 */
export function ownRun(run: RunRecord | undefined, id: string): RunRecord {
  if (run === undefined) throw new NotFoundError("run", id);
  const { parent } = run.spec;
  if (parent === undefined) return run;
  const [node = parent.path] = parent.path.split("/");
  throw new ConflictError(
    `run ${id}: expected a run of its own, found node ${parent.path} of flow ${parent.runId}: resume that one, from ${node}`,
  );
}
