import { describe, expect, test } from "vitest";
import { figureColumns, resultsTable } from "../../../src/cli/results-table.ts";
import type { FileInference } from "../../../src/contract/inference.ts";

const said = (path: string, label: string | null, confidence: number | null, value: FileInference["value"]) => ({
  path,
  inference: { label, confidence, value },
});

describe("table of results", () => {
  test("has a column for each field of the answers, whether or not one of them is the label", () => {
    const answer = { kind: "sql", lines: 3, tags: ["a", "b"], isOld: false };
    const table = resultsTable([
      said("a", null, 0.98765, { task: "generate", answer }),
      said("b", null, 0.5, { task: "generate", answer: { kind: "log", note: "new" } }),
    ]);
    expect(table.head).toEqual(["FILE", "CONFIDENCE", "kind", "lines", "tags", "isOld", "note"]);
    expect(table.rows).toEqual([
      ["a", "0.988", "sql", "3", '["a","b"]', "false", ""],
      ["b", "0.5", "log", "", "", "", "new"],
    ]);
    expect(figureColumns(table)).toEqual([1, 3]);
  });

  test("has answers that are no objects in one column", () => {
    expect(resultsTable([said("a", "x", 1, { task: "generate", answer: "x" })])).toEqual({
      head: ["FILE", "LABEL", "CONFIDENCE", "ANSWER"],
      rows: [["a", "x", "1", "x"]],
    });
  });

  test("names all labels of a file that has several", () => {
    const labels = ["cat", "dog"].map((label) => ({ label, confidence: 0.9 }));
    const none = said("b", "none", 0.1, { task: "multi-label", labels: [] });
    expect(resultsTable([said("a", "cat", 0.9, { task: "multi-label", labels }), none]).rows).toEqual([
      ["a", "cat, dog", "0.9"],
      ["b", "none", "0.1"],
    ]);
  });

  test("has values by their names, or as a list", () => {
    expect(resultsTable([said("a", null, null, { task: "regress", values: { age: 4.5, size: -2 } })])).toEqual({
      head: ["FILE", "age", "size"],
      rows: [["a", "4.5", "-2"]],
    });
    expect(resultsTable([said("a", null, null, { task: "regress", values: [1, 2] })]).rows).toEqual([["a", "[1,2]"]]);
  });
});
