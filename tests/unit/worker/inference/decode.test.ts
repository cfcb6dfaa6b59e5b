import { describe, expect, test } from "vitest";
import { checkManifest, type TensorManifest } from "../../../../src/contract/model-manifest.ts";
import { createDecoder, type RowOutput } from "../../../../src/worker/inference/decode.ts";

type OwnManifest = Exclude<TensorManifest, { task: "custom" }>;
type Task = OwnManifest["task"];

const labels = ["a", "b", "c"];

function manifestOf(task: Task, output: object): OwnManifest {
  const checked = checkManifest({
    name: "m",
    task,
    model: { file: "m.onnx", sha256: "0".repeat(64) },
    input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 1 }] },
    output: { tensor: "y", ...output },
    ...(task === "classify" || task === "multi-label" ? { labels } : {}),
  });
  if (checked.kind === "faulty") throw new TypeError(JSON.stringify(checked.faults));
  if (checked.manifest.task === "generate" || checked.manifest.task === "custom")
    throw new TypeError("expected another task");
  return checked.manifest;
}

function said(task: Task, output: object, values: number[], dims: number[] = [1, values.length]) {
  return createDecoder(
    manifestOf(task, output),
    labels,
  )([{ outputs: [{ data: Float32Array.from(values), dims }], row: 0, filled: undefined }]);
}

describe("what a classifier says", () => {
  test("is the likeliest label with its share, and the next ones", () => {
    const answer = said("classify", { top: 2 }, [1, 3, 2]);
    expect(answer).toMatchObject({ label: "b", confidence: 0.665241 });
    expect(answer).toMatchObject({ value: { labels: [{ label: "b" }, { label: "c", confidence: 0.244728 }] } });
  });

  test("is the fall-back label below the threshold of the likeliest, whose share is told", () => {
    const output = { activation: "none", fallback: "other", thresholds: { default: 0.5, labels: { b: 0.9 } } };
    expect(said("classify", output, [0.1, 0.8, 0.1])).toMatchObject({ label: "other", confidence: 0.8 });
    expect(said("classify", output, [0.6, 0.3, 0.1])).toMatchObject({ label: "a", confidence: 0.6 });
    expect(said("classify", output, [0.4, 0.3, 0.3])).toMatchObject({ label: "other" });
  });

  test("is of the row that is asked for", () => {
    const decode = createDecoder(manifestOf("classify", { activation: "none" }), labels);
    const output = { data: [1, 0, 0, 0, 0, 1], dims: [2, 3] };
    expect(decode([{ outputs: [output], row: 0, filled: undefined }])).toMatchObject({ label: "a" });
    expect(decode([{ outputs: [output], row: 1, filled: undefined }])).toMatchObject({ label: "c" });
  });

  test("is a bad output where it is no number", () => {
    expect(said("classify", {}, [1, Number.NaN, 2])).toMatchObject({ class: "bad-output" });
    expect(said("regress", {}, [Number.POSITIVE_INFINITY])).toMatchObject({ class: "bad-output" });
    expect(said("embed", {}, [Number.NaN])).toMatchObject({ class: "bad-output" });
    expect(said("multi-label", {}, [1, 2, Number.NaN])).toMatchObject({ class: "bad-output" });
  });
});

describe("what the other tasks say", () => {
  test("multi-label names every label above its threshold, or the fall-back", () => {
    const output = { thresholds: { default: 0.5, labels: { c: 0.99 } } };
    expect(said("multi-label", output, [0.1, 3, 4])).toEqual({
      label: "b",
      confidence: 0.952574,
      value: {
        task: "multi-label",
        labels: [
          { label: "b", confidence: 0.952574 },
          { label: "a", confidence: 0.524979 },
        ],
      },
    });
    expect(said("multi-label", output, [-9, -9, -9])).toMatchObject({ label: "none", value: { labels: [] } });
  });

  test("regression gives numbers, by name where the manifest has names", () => {
    expect(said("regress", {}, [1.5, -2])).toMatchObject({ label: null, value: { values: [1.5, -2] } });
    expect(said("regress", { names: ["x", "y"] }, [1.5, -2])).toMatchObject({ value: { values: { x: 1.5, y: -2 } } });
  });

  test("an embedding is a vector of length 1 in base64, of the first token or the mean of those that are no padding", () => {
    const vectorOf = (output: object, filled?: number) => {
      const decode = createDecoder(
        {
          ...manifestOf("embed", { normalize: false }),
          output: { tensor: "y", normalize: false, ...output },
        } as OwnManifest,
        [],
      );
      const answer = decode([{ outputs: [{ data: [1, 2, 3, 4, 50, 60], dims: [1, 3, 2] }], row: 0, filled }]);
      if ("class" in answer || answer.value.task !== "embed") throw new TypeError("expected a vector");
      const bytes = Buffer.from(answer.value.vector, "base64");
      return [...new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))];
    };
    expect(vectorOf({ pool: "first" })).toEqual([1, 2]);
    expect(vectorOf({ pool: "mean" }, 2)).toEqual([2, 3]);
    expect(vectorOf({ pool: "none" })).toEqual([1, 2, 3, 4, 50, 60]);
    expect(Math.hypot(...vectorOf({ pool: "none", normalize: true }))).toBeCloseTo(1);
  });
});

describe("the parts of a long file are one answer", () => {
  const parts = (rows: readonly number[][], filled: readonly number[]): RowOutput[] => {
    const output = { data: rows.flat(), dims: [rows.length, rows[0]?.length ?? 0] };
    return rows.map((_, row) => ({ outputs: [output], row, filled: filled[row] }));
  };
  const decode = (task: Task, output: object) => createDecoder(manifestOf(task, output), labels);

  test("classify and regress: the mean, by what is filled of each part", () => {
    const shares = parts(
      [
        [0.8, 0.2, 0],
        [0, 0.4, 0.6],
      ],
      [1, 3],
    );
    const answer = decode("classify", { activation: "none", top: 3 })(shares);
    expect(answer).toMatchObject({ label: "c", confidence: 0.45 });
    expect(answer).toMatchObject({
      value: { labels: [{ label: "c" }, { label: "b", confidence: 0.35 }, { label: "a" }] },
    });
    expect(decode("regress", {})(parts([[10], [20]], [3, 1]))).toMatchObject({ value: { values: [12.5] } });
  });

  test("multi-label: what applies to a part applies to the file", () => {
    const rows = [
      [0.9, 0.1, 0.2],
      [0.1, 0.6, 0.2],
    ];
    expect(decode("multi-label", { activation: "none" })(parts(rows, [5, 1]))).toMatchObject({
      value: { labels: [{ label: "a", confidence: 0.9 }, { label: "b" }] },
    });
  });

  test("embed: the mean of the vectors, which must be of one length", () => {
    const vectors = decode("embed", { normalize: false });
    const answer = vectors(
      parts(
        [
          [0, 4],
          [4, 0],
        ],
        [1, 3],
      ),
    );
    if ("class" in answer || answer.value.task !== "embed") throw new TypeError("expected a vector");
    const bytes = Buffer.from(answer.value.vector, "base64");
    expect([bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual([3, 1]);
    const uneven = [...parts([[1, 2]], [1]), ...parts([[1, 2, 3]], [1])];
    expect(vectors(uneven)).toEqual({
      class: "bad-output",
      message: "expected one length of the vectors of all parts of a file, found 2 and 3",
    });
  });
});
