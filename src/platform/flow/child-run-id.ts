/** Names of the runs that do the work of nodes. */
import { createHash } from "node:crypto";

/** A longer id is more than a file system takes as a name. */
const MAX_RUN_ID_CHARS = 120;

/**
 * The id of the run that does the work of a node or an instance: the same whoever makes it, and wherever the node stands in
 * its file. No id of a run or a node has the sign between them, so no two places share an id.
 */
export function childRunId(runId: string, path: string): string {
  const id = `${runId}~${path.replace("/", "~~")}`;
  if (id.length <= MAX_RUN_ID_CHARS) return id;
  const root = id.slice(0, id.indexOf("~"));
  return `${root}~~~${createHash("sha256").update(id).digest("hex").slice(0, 40)}`;
}
