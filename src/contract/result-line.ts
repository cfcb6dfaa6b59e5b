/** One file of a run of a model as programs read it: a line of `results.jsonl`, and of `headroom results`. */
import type { FileResult } from "./files.ts";
import type { FileInference } from "./inference.ts";

/** What of a row is in a line. */
export type LineResult = Pick<
  FileResult,
  "path" | "outcome" | "inference" | "failureClass" | "message" | "inputBytes" | "inputSha256"
>;

/** `vector`: the number of the file's vector in the file of vectors. */
export function resultLine(row: LineResult, vector?: number): object {
  const { path, outcome, inference, failureClass, message, inputBytes, inputSha256 } = row;
  return {
    path,
    outcome,
    ...(inference !== undefined && said(inference)),
    ...(vector !== undefined && { vector }),
    ...(failureClass !== null && { failureClass, message }),
    inputBytes,
    inputSha256,
  };
}

function said({ label, confidence, value }: FileInference): object {
  return {
    ...(label !== null && { label }),
    ...(confidence !== null && { confidence }),
    ...("labels" in value && { labels: value.labels }),
    ...("values" in value && { values: value.values }),
    ...("answer" in value && { answer: value.answer }),
    ...(value.task === "generate" && value.tokens !== undefined && { tokens: value.tokens }),
  };
}
