/** What a model said of files as rows of cells, for people and for CSV: a column for each field of its answers. Pure. */
import type { FileResult } from "../contract/files.ts";
import type { FileInference } from "../contract/inference.ts";

export interface ResultsTable {
  /** Fields as the model names them, behind the columns that every row has. */
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const CONFIDENCE = "CONFIDENCE";

/** Columns in the order in which they first have something; those that no row has are left out, but for the file. */
export function resultsTable(results: readonly Pick<FileResult, "path" | "inference">[]): ResultsTable {
  const head = new Set(["FILE", "LABEL", CONFIDENCE]);
  const cells = results.map(({ path, inference }) => {
    const row = new Map([["FILE", path], ...(inference === undefined ? [] : cellsOf(inference))]);
    for (const column of row.keys()) head.add(column);
    return row;
  });
  const used = [...head].filter((column) => column === "FILE" || cells.some((row) => row.has(column)));
  return { head: used, rows: cells.map((row) => used.map((column) => row.get(column) ?? "")) };
}

/** Places of columns with figures alone. */
export function figureColumns({ head, rows }: ResultsTable): number[] {
  const isFigure = (at: number) => rows.every((row) => /^(?:-?\d[\d.e+-]*)?$/.test(row[at] ?? ""));
  return [...head.keys()].filter((at) => at > 0 && isFigure(at));
}

function cellsOf({ label, confidence, value }: FileInference): (readonly [column: string, cell: string])[] {
  const labels = value.task === "multi-label" ? value.labels.map((one) => one.label).join(", ") : "";
  const shown = labels === "" ? label : labels;
  return [
    ...(shown === null ? [] : [["LABEL", shown] as const]),
    ...(confidence === null ? [] : [[CONFIDENCE, String(Math.round(confidence * 1_000) / 1_000)] as const]),
    ...("values" in value ? fieldCells("VALUES", value.values) : []),
    ...("answer" in value ? fieldCells("ANSWER", value.answer) : []),
  ];
}

/** What is no mapping has one column, under the name that is given. */
function fieldCells(name: string, value: unknown): (readonly [column: string, cell: string])[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[name, cellOf(value)]];
  return Object.entries(value).map(([field, held]) => [field, cellOf(held)]);
}

function cellOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
