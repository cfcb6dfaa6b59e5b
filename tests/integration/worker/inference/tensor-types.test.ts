/** Images, 16-bit floats, files of the model by provider and engines by card: the real engine, the real runtime. */
import { hash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../../../src/platform/clock.ts";
import { Metrics } from "../../../../src/platform/metrics.ts";
import { EnginePool } from "../../../../src/worker/inference/engine-pool.ts";
import { EngineFixture, labelOf } from "../../../support/engine-fixture.ts";
import { png } from "../../../support/png.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { Scratch } from "../../../support/scratch.ts";
import { modelFolder, pickyManifest, pickyModel, tinyOnnx } from "../../../support/tiny-onnx.ts";

/** Says its input. */
function mirror(type: "float32" | "float16" | "uint8", dims: readonly (number | string)[]): Buffer {
  return tinyOnnx({
    inputs: [["x", type, dims]],
    outputs: [["y", type, dims]],
    nodes: [{ op: "Identity", in: ["x"], out: "y" }],
  });
}

function valuesOf(answer: unknown): unknown {
  return (answer as { inference: { value: { values: unknown } } }).inference.value.values;
}

describe("image", () => {
  const image = { kind: "image", tensor: "x", width: 2, height: 2, filter: "nearest" };
  const regress = { task: "regress", output: { tensor: "y" } };

  test("goes through a model as it was laid, several in a batch, and what is none fails alone", async () => {
    const model = mirror("float32", ["batch", 3, 2, 2]);
    await using fixture = new EngineFixture((scratch) =>
      modelFolder(scratch, "model", model, {
        ...regress,
        input: { ...image, scale: 1, mean: [1, 2, 3], std: [1, 1, 2] },
      }),
    );
    fixture
      .file("a.png", png({ width: 2, height: 2 }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]))
      .file("b.png", png({ width: 1, height: 1 }, [101, 102, 103]))
      .file("c.png", "no image at all")
      .file("d.png", png({ width: 60_000, height: 60_000 }, [1]));
    const answers = await fixture.ask();
    expect(valuesOf(answers.get("a.png"))).toEqual([0, 3, 6, 9, 0, 3, 6, 9, 0, 1.5, 3, 4.5]);
    expect(valuesOf(answers.get("b.png"))).toEqual([100, 100, 100, 100, 100, 100, 100, 100, 50, 50, 50, 50]);
    expect(labelOf(answers.get("c.png"))).toMatch(/^bad-input: expected an image \(PNG, JPEG, WebP or BMP\)/);
    expect(labelOf(answers.get("d.png"))).toBe(
      "bad-input: expected an image of at most 50000000 pixels, found 60000 by 60000",
    );
    expect(fixture.restarts).toEqual([]);
  });

  test("is laid pixel by pixel for a model that takes bytes so", async () => {
    await using fixture = new EngineFixture((scratch) =>
      modelFolder(scratch, "model", mirror("uint8", ["batch", 2, 2, 3]), {
        ...regress,
        input: { ...image, layout: "nhwc", colors: "bgr" },
      }),
    );
    fixture.file("a.png", png({ width: 2, height: 2 }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
    const answers = await fixture.ask();
    expect(valuesOf(answers.get("a.png"))).toEqual([3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
  });

  test("of another size than the model takes is told before a file is looked at", async () => {
    await using fixture = new EngineFixture((scratch) =>
      modelFolder(scratch, "model", mirror("float32", ["batch", 3, 4, 4]), { ...regress, input: image }),
    );
    await expect(fixture.engine.ready()).rejects.toThrow(
      "input: expected the size, colors and layout of the input x: [batch, 3, 4, 4], found [files, 3, 2, 2]",
    );
  });
});

test("16-bit floats go in and come out", async () => {
  await using fixture = new EngineFixture((scratch) =>
    modelFolder(scratch, "model", mirror("float16", ["batch", 3]), {
      task: "regress",
      input: { kind: "json", tensors: [{ tensor: "x", fields: [{ path: "v", length: 3 }] }] },
      output: { tensor: "y" },
    }),
  );
  fixture.file("a", '{"v": [1.5, -0.25, 0.1]}').file("b", '{"v": [70000, 65504, 0.00006103515625]}');
  const answers = await fixture.ask();
  expect(valuesOf(answers.get("a"))).toEqual([1.5, -0.25, 0.0999755859375]);
  expect(labelOf(answers.get("b"))).toBe(
    "bad-output: expected numbers from the model, found a value that is none (NaN)",
  );
});

describe("file of the model", () => {
  const other = tinyOnnx({
    inputs: [["bytes", "int64", ["batch", 1]]],
    outputs: [["y", "float32", ["batch", 2]]],
    constants: [{ name: "table", dims: [1, 2], data: Float32Array.from([0.2, 0.8]) }],
    nodes: [
      { op: "Cast", in: ["bytes"], out: "number", attributes: { to: 1 } },
      { op: "Mul", in: ["number", "table"], out: "y" },
    ],
  });
  const withVariant =
    (providers: readonly string[], sha = hash("sha256", other, "hex")) =>
    (scratch: Scratch) => {
      const pinned = { file: "model.onnx", sha256: hash("sha256", pickyModel(), "hex") };
      const folder = modelFolder(scratch, "model", pickyModel(), {
        ...pickyManifest,
        model: { ...pinned, variants: [{ file: "other.onnx", sha256: sha, providers }] },
      });
      writeFileSync(join(folder, "other.onnx"), other);
      return folder;
    };

  test("is the variant that names the provider in use, and else the first one", async () => {
    await using plain = new EngineFixture(withVariant(["cuda", "webgpu"]));
    expect(labelOf((await plain.file("f", Buffer.from([0])).ask()).get("f"))).toBe("zero");
    await using varied = new EngineFixture(withVariant(["cpu"]));
    // Of the other file byte 9 is an input like any other.
    expect(labelOf((await varied.file("f", Buffer.from([9])).ask()).get("f"))).toBe("one");
    const [one, two] = [plain, varied].map(({ engine }) => engine.facts.loaded?.model.sha256);
    expect(one).toBe(two);
  });

  test("is pinned in each variant", async () => {
    await using fixture = new EngineFixture(withVariant(["cuda"], "0".repeat(64)));
    await expect(fixture.engine.ready()).rejects.toThrow(/model\.variants\[0\]\.sha256: expected .*other\.onnx/);
  });
});

test("chunks with cards of their own have an engine for each card, which sees that card alone", async () => {
  using scratch = new Scratch();
  const folder = modelFolder(scratch, "model", pickyModel(), pickyManifest);
  const metrics = new Metrics({ version: "test", process: "worker" }, quietLogger);
  const seen = join(scratch.path, "seen");
  const prefix = ["sh", "-c", `echo "$CUDA_VISIBLE_DEVICES" >> "${seen}"; exec "$@"`, "sh"];
  const pool = new EnginePool({ clock: systemClock, logger: quietLogger, metrics }, { prefix });
  const leases = ["GPU-a", "GPU-b", "GPU-a"].map((gpu) => pool.lease(folder, gpu));
  await Promise.all(leases.map(({ engine }) => engine.ready()));
  expect(readFileSync(seen, "utf8").trimEnd().split("\n").toSorted()).toEqual(["GPU-a", "GPU-b"]);
  expect(leases[0]?.engine).toBe(leases[2]?.engine);
  for (const lease of leases) lease.release();
  await pool.stop();
});
