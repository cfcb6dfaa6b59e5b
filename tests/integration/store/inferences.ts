/** What every engine of the store must do with what models said of files. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FileInference } from "../../../src/contract/inference.ts";
import { resultLine } from "../../../src/contract/result-line.ts";
import { openStore } from "../../../src/store/open-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { addRun, collect, failedOf, hostileNames, quiet, resultOf, specOf } from "./fixtures.ts";

function classified(label: string, confidence: number): { inference: FileInference } {
  return { inference: { label, confidence, value: { task: "classify", labels: [{ label, confidence }] } } };
}

export function describeInferences(engine: Store["kind"], freshUrl: () => Promise<string>): void {
  describe(`inferences in the store on ${engine}`, () => {
    let store: Store;
    const paths = async (query: Omit<Parameters<Store["files"]["inferences"]>[2], "limit">, epoch = 0) =>
      (await store.files.inferences("r", epoch, { limit: 100, ...query })).map(({ path }) => path);

    beforeEach(async () => {
      store = await openStore(await freshUrl(), quiet);
      await store.migrate();
      await addRun(store, "r");
    });
    afterEach(() => store.close());

    test("come back as they were recorded, of every task", async () => {
      const values: FileInference[] = [
        classified('it\'s "a" label', 0.123456).inference,
        { label: "b", confidence: 0.9, value: { task: "multi-label", labels: [{ label: "b", confidence: 0.9 }] } },
        { label: null, confidence: null, value: { task: "regress", values: { x: -1.5e-9 } } },
        { label: null, confidence: null, value: { task: "embed", vector: "AACAPw==" } },
      ];
      const rows = values.map((inference, at) => resultOf(`f${at}`, { index: at, inference }));
      await store.files.record("r", 0, [...rows, failedOf("z")]);
      expect(await collect(store.files.all("r", 0))).toEqual([...rows, failedOf("z")]);
      expect(await paths({})).toEqual(["f0", "f1", "f2", "f3"]);
    });

    test("are streamed with what a line of results has, all of one epoch, in path order", async () => {
      const names = [...hostileNames, ...Array.from({ length: 2_300 }, (_, at) => `f${at}`)];
      const rows = names.map((path, index) =>
        index % 7 === 0 ? failedOf(path, { index }) : resultOf(path, { index, ...classified("a", index / 10_000) }),
      );
      await store.files.record("r", 1, rows);
      await store.files.record("r", 0, [resultOf("of an older epoch", classified("a", 1))]);
      const lines = await collect(store.files.lines("r", 1));
      const all = await collect(store.files.all("r", 1));
      expect(lines.map(({ path }) => path)).toEqual(all.map(({ path }) => path));
      expect(lines.map((line) => resultLine(line))).toEqual(all.map((row) => resultLine(row)));
      expect(lines).toHaveLength(names.length);
    });

    test("are found by label and confidence, in pages", async () => {
      const rows = Array.from({ length: 20 }, (_, at) =>
        resultOf(`f${String(at).padStart(2, "0")}`, classified(at % 2 === 0 ? "even" : "odd", at / 20)),
      );
      await store.files.record("r", 0, rows);
      expect(await paths({ label: "even", minConfidence: 0.7 })).toEqual(["f14", "f16", "f18"]);
      expect(await paths({ minConfidence: 0.9 })).toEqual(["f18", "f19"]);
      expect(await paths({ label: "none" })).toEqual([]);
      const first = await store.files.inferences("r", 0, { label: "odd", limit: 3 });
      expect(first.map(({ path }) => path)).toEqual(["f01", "f03", "f05"]);
      expect(await paths({ label: "odd", afterPath: "f15" })).toEqual(["f17", "f19"]);
    });

    test("of several labels are found by each of them, with its own confidence", async () => {
      const labels = [
        { label: "cat", confidence: 0.9 },
        { label: "dog", confidence: 0.6 },
      ];
      const inference: FileInference = { label: "cat", confidence: 0.9, value: { task: "multi-label", labels } };
      // A classifier names the next ones too, but the file was not given those.
      const other: FileInference = { label: "cat", confidence: 0.8, value: { task: "classify", labels } };
      await store.files.record("r", 0, [resultOf("a", { inference }), resultOf("b", { inference: other })]);
      expect(await paths({ label: "dog" })).toEqual(["a"]);
      expect(await paths({ label: "dog", minConfidence: 0.7 })).toEqual([]);
      expect(await paths({ label: "cat", minConfidence: 0.85 })).toEqual(["a"]);
    });

    test("are found by fields of their answers, texts as they are and all else as JSON", async () => {
      const generated = (answer: Extract<FileInference["value"], { task: "generate" }>["answer"]) => ({
        inference: { label: null, confidence: 0.5, value: { task: "generate" as const, answer } },
      });
      await store.files.record("r", 0, [
        resultOf("a", generated({ kind: "sql", lines: 3, isOld: true, 'a "b".c': "x", list: [1, "y"], none: null })),
        resultOf("b", generated({ kind: "sql", lines: 4, isOld: false, list: [] })),
        resultOf("c", generated("kind")),
        resultOf("d", generated([{ kind: "sql" }])),
        resultOf("e", classified("sql", 1)),
      ]);
      const where = (name: string, value: string) => paths({ fields: [{ name, value }] });
      expect(await where("kind", "sql")).toEqual(["a", "b"]);
      expect(await where("lines", "4")).toEqual(["b"]);
      expect(await where("isOld", "true")).toEqual(["a"]);
      expect(await where('a "b".c', "x")).toEqual(["a"]);
      expect(await where("list", '[1,"y"]')).toEqual(["a"]);
      expect(await where("none", "null")).toEqual(["a"]);
      expect(await where("gone", "null")).toEqual([]);
      const both = [
        { name: "kind", value: "sql" },
        { name: "lines", value: "3" },
      ];
      expect(await paths({ fields: both })).toEqual(["a"]);
    });

    test("are counted by label, the most frequent first", async () => {
      const labels = ["b", "a", "b", "c", "b", "a"];
      await store.files.record("r", 0, [
        ...labels.map((label, at) => resultOf(`f${at}`, classified(label, 1))),
        failedOf("z"),
      ]);
      expect(await store.files.labels("r", 0, 2)).toEqual([
        { label: "b", files: 3 },
        { label: "a", files: 2 },
      ]);
    });

    test("belong to the epoch of their row, and go on with a row that is reused", async () => {
      await store.files.record("r", 0, [resultOf("a", classified("x", 1)), resultOf("b", classified("x", 1))]);
      await store.runs.move("r", ["queued"], "succeeded", { endedAtMs: 1 });
      await store.runs.reopen("r", specOf(), 2);
      await store.files.reuse("r", 1, [{ path: "a", index: 0 }]);
      await store.files.record("r", 1, [resultOf("b", classified("y", 1))]);
      expect(await paths({ label: "x" }, 1)).toEqual(["a"]);
      expect(await paths({ label: "y" }, 1)).toEqual(["b"]);
      expect(await paths({}, 0)).toEqual([]);
    });
  });
}
