import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Chunker } from "../../../src/contract/chunking.ts";
import type { FileEntry } from "../../../src/contract/files.ts";

const limits = { maxFiles: 512, maxBytes: 1_000, targetMs: 400 };
const entries = (count: number, bytes = 1): FileEntry[] =>
  Array.from({ length: count }, (_, index) => ({ index, path: `f${index}`, bytes }));

function chunksOf(chunker: Chunker, files: readonly FileEntry[]): FileEntry[][] {
  const chunks = files.map((file) => chunker.add(file)).filter((chunk) => chunk !== undefined);
  const rest = chunker.flush();
  return rest === undefined ? chunks : [...chunks, rest];
}

describe("chunker", () => {
  test("starts small while no time per file is known", () => {
    const sizes = chunksOf(new Chunker(limits), entries(8 + 16 + 8 + 1)).map((chunk) => chunk.length);
    expect(sizes).toEqual([...Array<number>(8).fill(1), ...Array<number>(8).fill(2), 4, 4, 1]);
  });

  test("fills the target time once a time is known, and follows its changes", () => {
    let msPerFile: number | undefined;
    const chunker = new Chunker(limits, () => msPerFile);
    expect(chunker.add({ index: 0, path: "a", bytes: 1 })).toHaveLength(1);
    msPerFile = 40;
    expect(chunksOf(chunker, entries(25)).map((chunk) => chunk.length)).toEqual([10, 10, 5]);
    msPerFile = 4_000;
    expect(chunksOf(chunker, entries(2)).map((chunk) => chunk.length)).toEqual([1, 1]);
    msPerFile = 0.0001;
    expect(chunksOf(chunker, entries(600)).map((chunk) => chunk.length)).toEqual([512, 88]);
  });

  test("a large file goes alone, before the small ones that still wait", () => {
    const chunker = new Chunker(limits, () => 1);
    expect(chunker.add({ index: 0, path: "small", bytes: 250 })).toBeUndefined();
    expect(chunker.add({ index: 1, path: "large", bytes: 251 })).toEqual([{ index: 1, path: "large", bytes: 251 }]);
    expect(chunker.flush()).toHaveLength(1);
    expect(chunker.flush()).toBeUndefined();
  });

  test("never loses or repeats a file, and keeps its limits", () => {
    const files = fc.array(fc.tuple(fc.nat(1_500), fc.option(fc.double({ min: -1, max: 1e6 }), { nil: undefined })));
    const sizes = fc.record({
      maxFiles: fc.integer({ min: 1, max: 20 }),
      maxBytes: fc.integer({ min: 1, max: 2_000 }),
      targetMs: fc.integer({ min: 1, max: 1_000 }),
    });
    fc.assert(
      fc.property(files, sizes, (list, some) => {
        let msPerFile: number | undefined;
        const chunker = new Chunker(some, () => msPerFile);
        const chunks: FileEntry[][] = [];
        for (const [index, [bytes, time]] of list.entries()) {
          msPerFile = time;
          const chunk = chunker.add({ index, path: `f${index}`, bytes });
          if (chunk !== undefined) chunks.push(chunk);
        }
        const rest = chunker.flush();
        if (rest !== undefined) chunks.push(rest);
        expect(
          chunks
            .flat()
            .map((file) => file.index)
            .sort((a, b) => a - b),
        ).toEqual([...list.keys()]);
        for (const chunk of chunks) {
          expect(chunk.length).toBeGreaterThan(0);
          expect(chunk.length).toBeLessThanOrEqual(some.maxFiles);
          const bytes = chunk.reduce((sum, file) => sum + file.bytes, 0);
          expect(chunk.length === 1 || bytes <= some.maxBytes).toBe(true);
        }
      }),
    );
  });
});
