/** Models on a card, or on what stands in for one: the same code, the same answers. See tests/support/gpu.ts. */
import { hash } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { GpuProbe } from "../../../../src/worker/governor/probes/gpu.ts";
import type { EngineSettings } from "../../../../src/worker/inference/engine-port.ts";
import { makeDocuments } from "../../../../scripts/models/documents/documents.ts";
import { exampleOf } from "../../../../scripts/models/llama/answers.ts";
import { exportLoop } from "../../../../scripts/models/llama/export-loop.ts";
import { CardHog } from "../../../support/card-hog.ts";
import { EngineFixture } from "../../../support/engine-fixture.ts";
import { openGpuPlace, type GpuPlace } from "../../../support/gpu.ts";
import type { Scratch } from "../../../support/scratch.ts";
import { llamaConfig, llamaWeights } from "../../../support/small-llama.ts";
import { hungryModel, modelFolder, tinyOnnx } from "../../../support/tiny-onnx.ts";

const MiB = 1_048_576;
let place: GpuPlace;

beforeAll(async () => {
  place = await openGpuPlace(resolve("models/file-kind/model.onnx"));
}, 120_000);

/** A model that comes along, on the card and on nothing else. */
function shipped(name: string, change: (folder: string, manifest: Record<string, unknown>) => void = () => undefined) {
  return (scratch: Scratch): string => {
    const folder = scratch.folder(name);
    cpSync(resolve("models", name), folder, { recursive: true });
    const path = join(folder, "model.yaml");
    const manifest = parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    change(folder, manifest);
    writeFileSync(path, stringify(manifest));
    return folder;
  };
}

const onCard = (): EngineSettings => ({ providers: [place.provider], prefix: place.prefix });
const onCpu: EngineSettings = { providers: ["cpu"] };

async function answersOf(make: (scratch: Scratch) => string, settings: EngineSettings, texts: readonly string[]) {
  await using fixture = new EngineFixture(make, settings);
  const loaded = await fixture.engine.ready();
  for (const [at, text] of texts.entries()) fixture.file(`f${at}`, text);
  return { loaded, answers: await fixture.ask() };
}

describe("model on a card", () => {
  const texts = makeDocuments(24, 5).map((document) => exampleOf(document).text);

  test("is proven to run there: most of its operations, as the runtime tells of each", async () => {
    const { loaded } = await answersOf(shipped("file-kind"), onCard(), texts);
    expect(loaded.provider).toBe(place.provider);
    const { [place.provider]: there = 0, cpu = 0 } = loaded.placement ?? {};
    expect(there).toBeGreaterThan(3 * cpu);
    expect(there + cpu).toBeGreaterThan(15);
  });

  test("says what it says on the CPU, to the third digit", async () => {
    const card = await answersOf(shipped("file-kind"), onCard(), texts);
    const cpu = await answersOf(shipped("file-kind"), onCpu, texts);
    expect(card.answers.size).toBe(texts.length);
    for (const [path, answer] of card.answers) {
      const other = cpu.answers.get(path);
      if (answer.kind !== "answer" || other?.kind !== "answer") throw new Error(JSON.stringify([answer, other]));
      expect(answer.inference.label).toBe(other.inference.label);
      expect(answer.inference.confidence).toBeCloseTo(other.inference.confidence ?? Number.NaN, 3);
    }
  });

  test.each([
    ["token by token", shipped("extract-llama")],
    [
      "in one graph",
      shipped("extract-llama", (folder, manifest) => {
        const model = exportLoop(llamaWeights(), llamaConfig);
        writeFileSync(join(folder, "loop.onnx"), model);
        const variant = { file: "loop.onnx", sha256: hash("sha256", model, "hex"), providers: ["cuda", "webgpu"] };
        manifest["model"] = { ...(manifest["model"] as object), variants: [variant] };
      }),
    ],
  ])("writes the same answers as on the CPU, %s", { timeout: 120_000 }, async (_how, make) => {
    const few = texts.slice(0, place.isCard ? texts.length : 4);
    const card = await answersOf(make, { ...onCard(), warmRows: 1 }, few);
    const cpu = await answersOf(make, onCpu, few);
    const said = ({ answers }: typeof card) =>
      [...answers].map(([path, answer]) => [path, answer.kind === "answer" ? answer.inference.value : answer]);
    expect(card.loaded.provider).toBe(place.provider);
    expect(Object.fromEntries(said(card))).toEqual(Object.fromEntries(said(cpu)));
  });

  test("goes on with the next provider where nothing of it would run on the card, and says so", async () => {
    await using fixture = new EngineFixture((scratch) => modelFolder(scratch, "model", ...hostOnly(place.provider)), {
      ...onCard(),
      providers: [place.provider, "cpu"],
    });
    const loaded = await fixture.engine.ready();
    expect(loaded.provider).toBe("cpu");
    expect(loaded.refusals).toEqual([
      {
        provider: place.provider,
        reason: expect.stringMatching(/^none of its operations there \(\d+ on cpu\)$/) as string,
      },
    ]);
  });

  test("that another program has filled gets smaller batches, and no file is lost", async ({ skip }) => {
    skip(!place.isCard, "there is no card here");
    await using hog = await CardHog.start(2_000 * MiB);
    expect(hog).toBeDefined();
    const make = (scratch: Scratch) =>
      modelFolder(scratch, "model", hungryModel(), {
        task: "regress",
        input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 2_000 }], empty: "pad" },
        output: { tensor: "y" },
        batch: { max_rows: 1_024, max_bytes: "1GiB" },
      });
    await using fixture = new EngineFixture(make, { ...onCard(), warmRows: 1, fixedRows: 1_024 });
    for (let at = 0; at < 1_024; at += 1) fixture.file(`f${at}`, Buffer.from([at % 7]));
    const answers = await fixture.ask();
    for (const [path, answer] of answers) {
      const value = (Number(path.slice(1)) % 7) ** 2;
      expect(answer).toMatchObject({ kind: "answer", inference: { value: { values: [value] } } });
    }
    expect(answers.size).toBe(1_024);
    expect(fixture.shortages).toBeGreaterThan(0);
    expect(fixture.shortages).toBeLessThanOrEqual(6);
    expect(fixture.engine.facts.loaded?.provider).toBe(place.provider);
  });

  test("is told of with memory, use, warmth and power", async ({ skip }) => {
    skip(!place.isCard, "there is no card here");
    const probe = new GpuProbe();
    expect(probe.open()).toBe(true);
    try {
      const first = () => probe.read()[0];
      await expect.poll(first, { timeout: 10_000 }).toBeDefined();
      const { memoryBytes, usedBytes, utilisation, temperatureC, powerW } = first() ?? {};
      for (const figure of [memoryBytes, usedBytes, utilisation, temperatureC, powerW])
        expect(figure).toBeTypeOf("number");
      expect(memoryBytes).toBeGreaterThan(usedBytes ?? 0);
    } finally {
      probe.close();
    }
  });
});

/** One operation that the provider does not have, so that it is the CPU that computes it. */
function hostOnly(provider: GpuPlace["provider"]): [model: Buffer, manifest: object] {
  const [op, type] = provider === "cuda" ? (["Atan", "float32"] as const) : (["Abs", "int64"] as const);
  const model = tinyOnnx({
    inputs: [["x", type, ["batch", 1]]],
    outputs: [["y", type, ["batch", 1]]],
    nodes: [{ op, in: ["x"], out: "y" }],
  });
  const input = { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 1 }] };
  return [model, { task: "regress", input, output: { tensor: "y" } }];
}
