/**
 * `results.jsonl`: what a model said of all files of a run, one line per file in path order; and `embeddings.f32`, the
 * vectors one behind the other, of which a line names its own by number. Made of the store's rows when all are there, so
 * each file is in it once; it appears whole, as every output does.
 */
import { setImmediate as turn } from "node:timers/promises";
import { resultLine, type LineResult } from "../../contract/result-line.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { Draft, publishDrafts, type DraftFile, type DraftPlace } from "./draft.ts";

const RESULTS_NAME = "results.jsonl";
const EMBEDDINGS_NAME = "embeddings.f32";

interface ResultsRequest extends DraftPlace {
  readonly rows: AsyncIterable<LineResult>;
  /** Asked before the names are given. */
  mayPublish(): Promise<boolean>;
}

/** Writes both files, or the first alone where there are no vectors. @throws {InfrastructureError} {LeaseLostError} */
export async function writeResults(request: ResultsRequest): Promise<DraftFile[]> {
  const { root, rows } = request;
  makeFolders(root, 0o777);
  using lines = new Draft(request, RESULTS_NAME);
  using vectors = new Draft(request, EMBEDDINGS_NAME);
  let vector = 0;
  for await (const row of rows) {
    const { inference } = row;
    const isVector = inference?.value.task === "embed";
    if (inference?.value.task === "embed") vectors.write(Buffer.from(inference.value.vector, "base64"));
    lines.write(`${JSON.stringify(resultLine(row, isVector ? vector++ : undefined))}\n`);
    if (lines.isDue) {
      lines.flush();
      await turn();
    }
  }
  const drafts = vector > 0 ? [vectors, lines] : [lines];
  await publishDrafts(root, drafts, () => request.mayPublish());
  return drafts.map(({ file }) => file).reverse();
}
