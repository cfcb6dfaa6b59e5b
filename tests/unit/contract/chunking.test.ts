import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Chunker } from "../../../src/contract/chunking.ts";
import type { FileEntry } from "../../../src/contract/files.ts";

const limits = { maxFiles: 512, maxBytes: 1_000, targetMs: 400 };
const entries = (count: number, bytes = 1): FileEntry[] =>
  Array.from({ length: count }, (_, index) => ({ index, path: `f${index}`, bytes }));

function chunksOf(chunker: Chunker, files: readonly FileEntry[]): FileEntry[][] {
  const chunks = files.flatMap((file) => chunker.add(file));
  return [...chunks, ...chunker.flush()];
}

describe("chunker", () => {
  test("takes files one by one while no time is known, until some must have ended without telling one", () => {
    const sizes = chunksOf(new Chunker(limits), entries(36 + 8 + 1)).map((chunk) => chunk.length);
    expect(sizes).toEqual([...Array<number>(36).fill(1), 4, 4, 1]);
  });

  test("fills the target time once a time is known, and follows its changes", () => {
    let msPerFile: number | undefined;
    const chunker = new Chunker(limits, () => ({ ms: msPerFile, group: 0 }));
    expect(chunker.add({ index: 0, path: "a", bytes: 1 })).toEqual([[{ index: 0, path: "a", bytes: 1 }]]);
    msPerFile = 40;
    expect(chunksOf(chunker, entries(25)).map((chunk) => chunk.length)).toEqual([10, 10, 5]);
    msPerFile = 4_000;
    expect(chunksOf(chunker, entries(2)).map((chunk) => chunk.length)).toEqual([1, 1]);
    msPerFile = 0.0001;
    expect(chunksOf(chunker, entries(600)).map((chunk) => chunk.length)).toEqual([512, 88]);
  });

  test("a large file goes alone, before the small ones that still wait", () => {
    const chunker = new Chunker(limits, () => ({ ms: 1, group: 0 }));
    expect(chunker.add({ index: 0, path: "small", bytes: 250 })).toEqual([]);
    expect(chunker.add({ index: 1, path: "large", bytes: 251 })).toEqual([[{ index: 1, path: "large", bytes: 251 }]]);
    expect(chunker.flush()).toHaveLength(1);
    expect(chunker.flush()).toEqual([]);
  });

  test("a file that takes the target time goes alone, and those beside it fill theirs", () => {
    const times = [100, 900, 100, 100, 100, 100];
    const chunker = new Chunker(limits, ({ index }) => ({ ms: times[index], group: 0 }));
    const chunks = chunksOf(chunker, entries(6)).map((chunk) => chunk.map(({ index }) => index));
    expect(chunks).toEqual([[1], [0, 2, 3, 4], [5]]);
  });

  test("files of different groups do not share a chunk, and none waits for the end of a long scan", () => {
    const chunker = new Chunker({ ...limits, maxFiles: 2 }, ({ index }) => ({ ms: 1, group: index === 3 ? 20 : 4 }));
    const chunks = entries(60).flatMap((file) => chunker.add(file));
    expect(chunks.find((chunk) => chunk.some(({ index }) => index === 3))).toHaveLength(1);
    expect(chunks.flat()).toHaveLength(59);
    expect(chunker.flush()).toHaveLength(1);
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
        const chunker = new Chunker(some, ({ bytes }) => ({ ms: msPerFile, group: bytes % 3 }));
        const chunks: FileEntry[][] = [];
        for (const [index, [bytes, time]] of list.entries()) {
          msPerFile = time;
          chunks.push(...chunker.add({ index, path: `f${index}`, bytes }));
        }
        chunks.push(...chunker.flush());
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
