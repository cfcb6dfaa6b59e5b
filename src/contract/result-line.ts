/** One file of a run of a model as programs read it: a line of `results.jsonl`, and of `headroom results`. */
import type { FileResult } from "./files.ts";

/** `vector`: the number of the file's vector in the file of vectors. */
export function resultLine(row: FileResult, vector?: number): object {
  const { path, outcome, inference, failureClass, message, inputBytes, inputSha256 } = row;
  const value = inference?.value;
  return {
    path,
    outcome,
    ...(inference?.label != null && { label: inference.label, confidence: inference.confidence }),
    ...(value !== undefined && "labels" in value && { labels: value.labels }),
    ...(value !== undefined && "values" in value && { values: value.values }),
    ...(value?.task === "generate" && { answer: value.answer, confidence: inference?.confidence }),
    ...(vector !== undefined && { vector }),
    ...(failureClass !== null && { failureClass, message }),
    inputBytes,
    inputSha256,
  };
}
