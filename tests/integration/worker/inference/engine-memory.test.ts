/** Engines that get too little memory: real limits, the real allocator, real ends of processes. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InfrastructureError } from "../../../../src/contract/errors.ts";
import { EngineFixture } from "../../../support/engine-fixture.ts";
import type { Scratch } from "../../../support/scratch.ts";
import { hungryTextModel, wordTokenizer } from "../../../support/text-onnx.ts";
import { makeTempFolder } from "../../../support/temp-folder.ts";
import { generousModel, hungryModel, modelFolder } from "../../../support/tiny-onnx.ts";

describe("engine whose memory is short", () => {
  const MiB = 1_048_576;
  /** Node and the runtime take about one of it before any file. */
  const limited = { prefix: ["prlimit", `--as=${1_900 * MiB}`] };
  const hungry = (width: number, rows: number) => (scratch: Scratch) =>
    modelFolder(scratch, "model", hungryModel(), {
      task: "regress",
      input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: width }], empty: "pad" },
      output: { tensor: "y" },
      batch: { max_rows: rows },
    });

  const texts = (scratch: Scratch) => hungryTextModel(scratch, wordTokenizer({ "[UNK]": 0 }), 256);
  test.each([
    ["as many files as fit", hungry(2_000, 256)],
    ["texts of the most tokens", texts],
  ])("warms up with %s, and stays below that", async (_name, make) => {
    await using fixture = new EngineFixture(make, limited);
    const { mostRows, warmRows } = await fixture.engine.ready();
    expect(mostRows).toBe(256);
    expect(warmRows).toBeLessThan(256);
    expect(warmRows).toBeGreaterThanOrEqual(1);
    for (let at = 0; at < 40; at += 1) fixture.file(`f${at}`, Buffer.from([2]));
    const answers = await fixture.ask();
    expect([...answers.values()].map((answer) => answer.kind)).toEqual(new Array(40).fill("answer"));
    expect(Math.max(...fixture.batches)).toBeLessThanOrEqual(warmRows);
  });

  test("begins with one file after an end for memory while it loaded", async () => {
    using temp = makeTempFolder();
    const script = 'if [ -e "$0" ]; then exec "$@"; fi; touch "$0"; kill -9 $$';
    const prefix = ["/bin/sh", "-c", script, join(temp.path, "started")];
    await using fixture = new EngineFixture(hungry(10, 64), { prefix });
    expect(await fixture.engine.ready()).toMatchObject({ mostRows: 64, warmRows: 1 });
    expect(fixture.restarts).toEqual(["out-of-memory"]);
    expect(fixture.ceilings).toEqual([{ upToBytes: Infinity, rows: 1 }]);
  });

  test("halves a batch for which memory does not do, drops no file and remembers", async () => {
    await using fixture = new EngineFixture(hungry(2_000, 256), { ...limited, warmRows: 1, fixedRows: 256 });
    for (let at = 0; at < 256; at += 1) fixture.file(`f${at}`, Buffer.from([at % 7]));
    const answers = await fixture.ask();
    expect(fixture.shortages).toBeGreaterThan(0);
    expect(fixture.shortages).toBeLessThanOrEqual(6);
    for (const [path, answer] of answers) {
      const value = (Number(path.slice(1)) % 7) ** 2;
      expect(answer).toMatchObject({ kind: "answer", inference: { value: { values: [value] } } });
    }
    expect(answers.size).toBe(256);
    expect(fixture.ceilings.at(-1)?.rows).toBeLessThan(256);
    expect(Math.max(...fixture.batches)).toBeLessThan(256);
  });

  test("refuses a model of which not one file fits, for the machine's sake", async () => {
    await using fixture = new EngineFixture(hungry(30_000, 4), limited);
    const error = await fixture.engine.ready().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InfrastructureError);
    expect(String(error)).toMatch(/no memory for model .*Failed to allocate memory/);
  });

  test("that ends itself, since an answer could not be copied, is followed by another one, and no file is lost", async () => {
    const limits = { prefix: ["prlimit", `--as=${1_700 * MiB}`], warmRows: 1, fixedRows: 32 };
    await using fixture = new EngineFixture(
      (scratch) =>
        modelFolder(scratch, "model", generousModel(), {
          task: "embed",
          input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 2_000 }] },
          output: { tensor: "y", pool: "first", normalize: false },
        }),
      limits,
    );
    for (let at = 0; at < 40; at += 1) fixture.file(`f${at}`, Buffer.from([1 + (at % 7)]));
    const answers = await fixture.ask();
    // Node aborts where it finds no memory for an array; nothing can catch that.
    expect(fixture.restarts).toEqual(["out-of-memory"]);
    expect(fixture.logs()).toContainEqual(
      expect.objectContaining({
        msg: "engine ended, another one follows",
        signal: "SIGABRT",
        log: expect.stringContaining("v8::ArrayBuffer::New") as string,
      }),
    );
    for (const [path, answer] of answers) {
      if (answer.kind !== "answer" || answer.inference.value.task !== "embed") throw new Error(`no answer for ${path}`);
      const first = Buffer.from(answer.inference.value.vector, "base64").readFloatLE(0);
      expect(first).toBe((1 + (Number(path.slice(1)) % 7)) ** 2);
    }
    expect(answers.size).toBe(40);
    expect(Math.max(...fixture.batches)).toBeLessThan(32);
  });
});
