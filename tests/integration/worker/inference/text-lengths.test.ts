/** Texts of very different lengths through one engine: the real process, the real tokenizer, the real runtime. */
import { describe, expect, test } from "vitest";
import type { FileAnswer } from "../../../../src/worker/inference/engine-protocol.ts";
import { EngineFixture } from "../../../support/engine-fixture.ts";
import type { Scratch } from "../../../support/scratch.ts";
import { hungryTextModel, textModel, wordTokenizer } from "../../../support/text-onnx.ts";

const tokenizer = wordTokenizer({ "[UNK]": 0, one: 1, two: 2 });
/** Texts of so many words, no two of a length alike. */
const textOf = (words: number, at: number) =>
  Array.from({ length: words }, (_, word) => (word % (at + 2) === 0 ? "two" : "one")).join(" ");
/** 12 bytes to 6,000 of them, one among the others. */
const wordCounts = [3, 1_500, 40, 400];

describe("engine with texts of many lengths", () => {
  const model = (scratch: Scratch) => textModel(scratch, tokenizer, { max_tokens: 2_048 }, "mean");

  test("gives each the answer that it has alone, and puts no short one beside a long one", async () => {
    await using fixture = new EngineFixture(model);
    const paths = Array.from({ length: 64 }, (_, at) => `t${at}`);
    const wordsOf = (path: string) => wordCounts[Number(path.slice(1)) % 4] ?? 0;
    for (const [at, path] of paths.entries()) fixture.file(path, textOf(wordsOf(path), at));
    const together = await fixture.ask();
    expect(together.size).toBe(64);
    const lengths = fixture.told.map((batch) => new Set(batch.map(wordsOf)));
    expect(lengths.filter(({ size }) => size !== 1)).toEqual([]);
    expect(Math.max(...fixture.told.map((batch) => batch.length))).toBeGreaterThan(1);
    const vectorOf = (answer: FileAnswer | undefined) => (answer?.kind === "answer" ? answer.inference.value : answer);
    for (const path of ["t0", "t1", "t2", "t3", "t62", "t63"]) {
      const alone = await fixture.ask([path]);
      expect(vectorOf(alone.get(path))).toMatchObject({ task: "embed" });
      expect(vectorOf(together.get(path))).toEqual(vectorOf(alone.get(path)));
    }
  });

  test("holds batches to the tokens that the manifest allows, padding included", async () => {
    const make = (scratch: Scratch) =>
      textModel(scratch, tokenizer, { max_tokens: 1_600 }, "mean", { max_tokens: 6_400 });
    await using fixture = new EngineFixture(make);
    for (let at = 0; at < 24; at += 1) fixture.file(`long${at}`, textOf(1_500, at));
    for (let at = 0; at < 24; at += 1) fixture.file(`short${at}`, textOf(20, at));
    expect(await fixture.engine.ready()).toMatchObject({ mostRows: 4 });
    const answers = await fixture.ask();
    expect([...answers.values()].filter(({ kind }) => kind !== "answer")).toEqual([]);
    const most = (name: string) =>
      Math.max(...fixture.told.map((batch) => batch.filter((path) => path.startsWith(name)).length));
    expect(most("long")).toBe(4);
    expect(most("short")).toBe(24);
  });

  test("lets a batch through in turns that has more tokens than its bytes made believe", async () => {
    const long = "x".repeat(255);
    const words = wordTokenizer({ "[UNK]": 0, one: 1, [long]: 2 });
    const make = (scratch: Scratch) => textModel(scratch, words, { max_tokens: 1_600 }, "mean", { max_tokens: 6_400 });
    await using fixture = new EngineFixture(make, { fixedRows: 128 });
    const dense = Array.from({ length: 128 }, (_, at) => `dense${at}`);
    // As many bytes: one token, and 64.
    fixture.file("sparse", long);
    for (const path of dense) fixture.file(path, new Array(64).fill("one").join(" "));
    expect((await fixture.ask(["sparse"])).get("sparse")).toMatchObject({ kind: "answer" });
    const answers = await fixture.ask(dense);
    expect([...answers.values()].filter(({ kind }) => kind !== "answer")).toEqual([]);
    expect(fixture.told.map(({ length }) => length)).toEqual([1, 128]);
    expect(fixture.batches).toEqual([1, 100]);
  });

  test("that has too little memory for many long ones goes on with as many short ones as before", async () => {
    const make = (scratch: Scratch) => hungryTextModel(scratch, tokenizer, 64);
    const limits = { prefix: ["prlimit", `--as=${1_900 * 1_048_576}`], warmRows: 1, fixedRows: 64 };
    await using fixture = new EngineFixture(make, limits);
    const paths = Array.from({ length: 128 }, (_, at) => (at % 2 === 0 ? `long${at}` : `short${at}`));
    const words = (path: string) => (path.startsWith("long") ? 2_000 : 10);
    for (const path of paths) fixture.file(path, new Array(words(path)).fill("one").join(" "));
    const answers = await fixture.ask();
    for (const path of paths) {
      const value = words(path) ** 2;
      expect(answers.get(path)).toMatchObject({ kind: "answer", inference: { value: { values: [value] } } });
    }
    expect(fixture.shortages).toBeGreaterThan(0);
    const ceilings = new Map(fixture.ceilings.map(({ upToBytes, rows }) => [upToBytes, rows]));
    expect(ceilings.get(128)).toBe(64);
    expect(ceilings.get(Infinity)).toBeLessThan(64);
    expect(Math.max(...fixture.batches)).toBe(64);
  });
});
