/** The engine of a model: a real process with the real runtime. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InvalidInputError } from "../../../../src/contract/errors.ts";
import type { FileAnswer } from "../../../../src/worker/inference/engine-protocol.ts";
import { EngineFixture, labelOf, sha256 } from "../../../support/engine-fixture.ts";
import { makeTempFolder } from "../../../support/temp-folder.ts";
import type { Scratch } from "../../../support/scratch.ts";
import { modelFolder, pickyManifest, pickyModel, tinyOnnx } from "../../../support/tiny-onnx.ts";
import { textModel, wordTokenizer } from "../../../support/text-onnx.ts";

const filetype = join(import.meta.dirname, "../../../fixtures/models/filetype");
const picky =
  (change: object = {}) =>
  (scratch: Scratch) =>
    modelFolder(scratch, "model", pickyModel(), { ...pickyManifest, ...change });

/** Embeds a text as the mean of the vectors of its words, of three at most. */
const tokenModel = (scratch: Scratch, input: object): string =>
  textModel(scratch, wordTokenizer({ "[UNK]": 0, one: 1, two: 2 }), { max_tokens: 3, ...input }, "mean");

/** To three digits; the failure of a file that has none. */
function vectorOf(answer: FileAnswer | undefined): number[] | string | null | undefined {
  if (answer?.kind !== "answer" || answer.inference.value.task !== "embed") return labelOf(answer);
  const bytes = Buffer.from(answer.inference.value.vector, "base64");
  return [bytes.readFloatLE(0), bytes.readFloatLE(4)].map((value) => Math.round(value * 1_000) / 1_000);
}

describe("engine", () => {
  test("runs a classifier that was made elsewhere, by its manifest alone", async () => {
    await using fixture = new EngineFixture(() => filetype);
    fixture.file("a.json", '{"name": "x", "list": [1, 2, 3], "deep": {"a": null, "b": true}}\n'.repeat(8));
    fixture.file(
      "b.sql",
      "SELECT id, name FROM users WHERE id = 3 ORDER BY name;\nINSERT INTO t VALUES (1);\n".repeat(6),
    );
    const answers = await fixture.ask();
    expect([...answers].map(([path, answer]) => [path, labelOf(answer)])).toEqual([
      ["a.json", "json"],
      ["b.sql", "sql"],
    ]);
    const text = '{"name": "x", "list": [1, 2, 3], "deep": {"a": null, "b": true}}\n'.repeat(8);
    expect(answers.get("a.json")).toMatchObject({ sha256: sha256(text), bytes: text.length });
    expect(fixture.engine.facts.loaded).toMatchObject({ provider: "cpu", refusals: [], mostRows: 128, warmRows: 128 });
  });

  test("tells nobody what it runs: the runtime is kept from that, and leaves no file of it", async () => {
    using temp = makeTempFolder();
    const filesLeft = async (...options: string[]) => {
      const prefix = ["/usr/bin/env", ...options, `TMPDIR=${temp.path}`];
      await using fixture = new EngineFixture(picky(), { prefix });
      await fixture.engine.ready();
      return readdirSync(temp.path);
    };
    expect(await filesLeft()).toEqual([]);
    // What it would do otherwise.
    expect(await filesLeft("-u", "ORT_DISABLE_TELEMETRY")).toContainEqual(expect.stringMatching(/^mat-debug-/));
  });

  test("puts files of several chunks into one batch, and answers each once", async () => {
    await using fixture = new EngineFixture(picky({ batch: { max_rows: 64 } }), { fixedRows: 64 });
    for (let at = 0; at < 64; at += 1) fixture.file(`f${at}`, Buffer.from([at % 2]));
    await fixture.engine.ready();
    const halves = [0, 32].map((from) => Array.from({ length: 32 }, (_, at) => `f${from + at}`));
    const both = await Promise.all(halves.map((paths) => fixture.ask(paths)));
    expect(fixture.batches).toEqual([64]);
    for (const [at, answers] of both.entries()) {
      expect([...answers.keys()].toSorted()).toEqual(halves[at]?.toSorted());
      for (const [path, answer] of answers) {
        expect(labelOf(answer)).toBe(Number(path.slice(1)) % 2 === 0 ? "zero" : "one");
      }
    }
  });

  test("finds the file that makes a batch fail; it fails alone", async () => {
    await using fixture = new EngineFixture(picky(), { fixedRows: 32 });
    for (let at = 0; at < 50; at += 1) fixture.file(`f${at}`, Buffer.from([at === 17 ? 9 : 0]));
    const answers = await fixture.ask();
    const failed = [...answers].filter(([, answer]) => answer.kind === "failure");
    expect(failed.map(([path]) => path)).toEqual(["f17"]);
    expect(labelOf(failed[0]?.[1])).toMatch(/^bad-input: expected a file that the model takes, found: .*Gather/);
    expect(fixture.restarts).toEqual([]);
  });

  test("finds the file at which the device fails for good, in new processes, and blames no other", async () => {
    const sticky = pickyModel("CUDA failure 700");
    await using fixture = new EngineFixture((scratch) => modelFolder(scratch, "model", sticky, pickyManifest), {
      fixedRows: 8,
    });
    for (let at = 0; at < 200; at += 1) fixture.file(`f${at}`, Buffer.from([at === 85 ? 9 : 0]));
    const answers = await fixture.ask();
    const failed = [...answers].filter(([, answer]) => answer.kind === "failure");
    expect(failed.map(([path]) => path)).toEqual(["f85"]);
    expect(labelOf(failed[0]?.[1])).toMatch(/^signal: the device failed at this file alone: .*CUDA failure 700/);
    // Once for each half, down to the file, and once more for the file.
    expect(fixture.restarts).toEqual(new Array(5).fill("died"));
    expect(fixture.batches.filter((rows) => rows < 8).toSorted()).toEqual([1, 2, 4]);
  });

  test("fails files that cannot be read or are no input, and runs the others", async () => {
    await using fixture = new EngineFixture(picky());
    fixture.file("good", Buffer.from([1])).file("empty", "");
    const answers = await fixture.ask(["good", "empty", "gone", "../model/model.yaml"]);
    expect(labelOf(answers.get("good"))).toBe("one");
    expect(labelOf(answers.get("empty"))).toBe("bad-input: expected a file that is not empty, found 0 bytes");
    expect(labelOf(answers.get("gone"))).toBe("bad-input: expected a file that can be read, found none");
    expect(labelOf(answers.get("../model/model.yaml"))).toMatch(/^policy: /);
  });

  test("does not run what is known already", async () => {
    await using fixture = new EngineFixture(picky());
    fixture.file("same", "\x01").file("other", "\x00");
    const answers = await fixture.ask(["same", "other"], [sha256("\x01"), sha256("\x01")]);
    expect(labelOf(answers.get("same"))).toBe("same");
    expect(labelOf(answers.get("other"))).toBe("zero");
    expect(fixture.batches).toEqual([1]);
  });

  test("takes windows of files of any size", async () => {
    const model = tinyOnnx({
      inputs: [["x", "float32", ["batch", 3]]],
      outputs: [["y", "float32", ["batch", 3]]],
      nodes: [{ op: "Identity", in: ["x"], out: "y" }],
    });
    const windows = (["head", "middle", "tail"] as const).map((at) => ({ at, length: 1 }));
    const manifest = { task: "regress", input: { kind: "bytes", tensor: "x", windows }, output: { tensor: "y" } };
    await using fixture = new EngineFixture((scratch) => modelFolder(scratch, "model", model, manifest));
    const bytes = 3_000_001;
    const large = Buffer.alloc(bytes, 7);
    large[0] = 1;
    large[(bytes - 1) / 2] = 2;
    large[bytes - 1] = 3;
    fixture.file("large", large).file("small", Buffer.from([4, 5, 6]));
    const answers = await fixture.ask();
    expect(answers.get("large")).toMatchObject({ bytes, inference: { value: { values: [1, 2, 3] } } });
    expect(answers.get("small")).toMatchObject({ bytes: 3, inference: { value: { values: [4, 5, 6] } } });
  });

  test("takes texts through a tokenizer, padded to the longest of the batch", async () => {
    await using fixture = new EngineFixture((scratch) => tokenModel(scratch, {}), { fixedRows: 4 });
    fixture
      .file("a", "one")
      .file("b", "one two two two two")
      .file("c", " \n")
      .file("d", Buffer.from([0xff]));
    const answers = await fixture.ask();
    expect(vectorOf(answers.get("a"))).toEqual([1, 10]);
    expect(vectorOf(answers.get("b"))).toEqual([1.667, 16.667]);
    expect(vectorOf(answers.get("c"))).toBe("bad-input: expected a text with a token at least, found none");
    expect(vectorOf(answers.get("d"))).toBe("bad-input: expected a text in UTF-8, found bytes that are not UTF-8");
  });

  test("splits long texts into parts of one answer, more at a time than it takes rows", async () => {
    await using fixture = new EngineFixture((scratch) => tokenModel(scratch, { too_long: "split" }));
    const long = `one ${"two ".repeat(99)}`;
    fixture.file("a", "one").file("b", "one two two two two").file("c", long).file("d", "two ".repeat(1_000));
    const answers = await fixture.ask();
    expect(vectorOf(answers.get("a"))).toEqual([1, 10]);
    expect(vectorOf(answers.get("b"))).toEqual([1.8, 18]);
    expect(vectorOf(answers.get("c"))).toEqual([1.99, 19.9]);
    expect(vectorOf(answers.get("d"))).toBe("bad-input: expected a text of at most 256 parts of 3 tokens, found 334");
    expect(Math.max(...fixture.batches)).toBeLessThanOrEqual(4);
  });

  test("makes a new process when one is killed in the middle, and loses no file", async () => {
    await using fixture = new EngineFixture(picky({ batch: { max_rows: 4 } }));
    for (let at = 0; at < 400; at += 1) fixture.file(`f${at}`, Buffer.from([1]));
    const { pid } = (await fixture.engine.ready(), fixture.engine.facts);
    const asked = fixture.ask();
    await expect.poll(() => fixture.batches.length, { interval: 1 }).toBeGreaterThan(2);
    process.kill(pid ?? 0, "SIGKILL");
    const answers = await asked;
    expect([...answers.values()].filter((answer) => labelOf(answer) === "one")).toHaveLength(400);
    expect(fixture.restarts).toEqual(["out-of-memory"]);
    expect(fixture.engine.facts.pid).not.toBe(pid);
  });

  test("is renewed after so many batches", async () => {
    await using fixture = new EngineFixture(picky({ engine: { recycle_batches: 3 } }), { fixedRows: 1 });
    for (let at = 0; at < 14; at += 1) fixture.file(`f${at}`, Buffer.from([1]));
    const answers = await fixture.ask();
    expect([...answers.values()].map(labelOf)).toEqual(new Array(14).fill("one"));
    expect(fixture.restarts.length).toBeGreaterThanOrEqual(2);
    expect(new Set(fixture.restarts)).toEqual(new Set(["recycled"]));
  });

  test("is not renewed with another model for work that was given to the one of before", async () => {
    await using fixture = new EngineFixture(picky({ engine: { recycle_batches: 3 } }), { fixedRows: 1 });
    for (let at = 0; at < 8; at += 1) fixture.file(`f${at}`, Buffer.from([1]));
    const { sha256: before } = (await fixture.engine.ready()).model;
    picky({ labels: ["zero", "other"], engine: { recycle_batches: 3 } })(fixture.scratch);
    await expect(fixture.ask()).rejects.toThrow(`expected SHA-256 ${before} as before, found `);
  });

  test("tries providers in their order, and says why one is not used", async () => {
    await using fixture = new EngineFixture(picky({ providers: ["cuda", "cpu"] }));
    const loaded = await fixture.engine.ready();
    expect(loaded.provider).toBe("cpu");
    expect(loaded.refusals).toEqual([
      { provider: "cuda", reason: expect.stringMatching(/Failed to load shared library/i) as string },
    ]);
    expect(fixture.logs()).toContainEqual(
      expect.objectContaining({ msg: "provider refused, the next one is tried", provider: "cuda" }),
    );
  });
});

describe("model that cannot be used", () => {
  async function refusal(make: (scratch: Scratch) => string): Promise<string> {
    await using fixture = new EngineFixture(make);
    const error = await fixture.engine.ready().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidInputError);
    return error instanceof InvalidInputError
      ? error.faults.map(({ where, found }) => `${where}: ${found}`).join("\n")
      : "";
  }

  test("is told for each reason, with its place", async () => {
    expect(await refusal((scratch) => scratch.folder("none"))).toMatch(/model\.yaml: none$/);
    const truncated = pickyModel().subarray(0, 60);
    expect(await refusal((scratch) => modelFolder(scratch, "m", truncated, pickyManifest))).toMatch(
      /^model\.file: .*parsing failed/i,
    );
    const other = { ...pickyManifest, model: { file: "model.onnx", sha256: "0".repeat(64) } };
    expect(await refusal((scratch) => modelFolder(scratch, "m", pickyModel(), other))).toMatch(
      /^model\.sha256: [0-9a-f]{64} /,
    );
    const gone = { ...pickyManifest, model: { file: "gone.onnx", sha256: "0".repeat(64) } };
    expect(await refusal((scratch) => modelFolder(scratch, "m", pickyModel(), gone))).toBe("model.file: nothing");
    expect(await refusal(picky({ input: { ...pickyManifest.input, tensor: "other" } }))).toMatch(
      /^input\.tensor: "other"/,
    );
    expect(await refusal(picky({ labels: ["one"] }))).toBe("labels: 1");
  });

  test("for an operator that the runtime does not have, or weights that are not there", async () => {
    const one = { inputs: [["x", "float32", ["batch", 1]]], outputs: [["y", "float32", ["batch", 1]]] } as const;
    const manifest = {
      task: "regress",
      input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 1 }] },
      output: { tensor: "y" },
    };
    const strange = tinyOnnx({ ...one, nodes: [{ op: "Frobnicate", in: ["x"], out: "y" }] });
    expect(await refusal((scratch) => modelFolder(scratch, "m", strange, manifest))).toMatch(
      /^model\.file: .*Frobnicate/,
    );
    const outside = tinyOnnx({
      ...one,
      constants: [{ name: "w", dims: [1], data: Float32Array.from([2]), external: "weights.bin" }],
      nodes: [{ op: "Mul", in: ["x", "w"], out: "y" }],
    });
    expect(await refusal((scratch) => modelFolder(scratch, "m", outside, manifest))).toMatch(
      /^model\.file: .*weights\.bin/,
    );
  });

  test("runs with weights in files of their own once they are there", async () => {
    const model = tinyOnnx({
      inputs: [["x", "float32", ["batch", 1]]],
      outputs: [["y", "float32", ["batch", 1]]],
      constants: [{ name: "w", dims: [1], data: Float32Array.from([2]), external: "weights.bin" }],
      nodes: [{ op: "Mul", in: ["x", "w"], out: "y" }],
    });
    const weights = Buffer.from(Float32Array.from([3]).buffer);
    await using fixture = new EngineFixture((scratch) => {
      const folder = modelFolder(scratch, "m", model, {
        task: "regress",
        input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 1 }] },
        output: { tensor: "y", names: ["tripled"] },
      });
      writeFileSync(join(folder, "weights.bin"), weights);
      return folder;
    });
    const answers = await fixture.file("f", Buffer.from([5])).ask();
    expect(answers.get("f")).toMatchObject({ inference: { value: { values: { tripled: 15 } } } });
  });

  test("is seen again when its manifest was mended", async () => {
    await using fixture = new EngineFixture(picky({ labels: ["one"] }));
    await expect(fixture.engine.ready()).rejects.toThrow("labels");
    modelFolder(fixture.scratch, "model", pickyModel(), pickyManifest);
    expect((await fixture.engine.ready()).model.labels).toEqual(["zero", "one"]);
  });
});
