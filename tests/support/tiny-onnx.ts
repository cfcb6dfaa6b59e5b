/** ONNX models of a few nodes, written byte by byte, and folders of models around them. */
import { hash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Scratch } from "./scratch.ts";

const types = { float32: 1, uint8: 2, int32: 6, int64: 7, float16: 10 } as const;
type Type = keyof typeof types;
type Dims = readonly (number | string)[];

/** One protobuf message: its fields one behind the other. */
class Message {
  readonly #parts: Buffer[] = [];

  int(field: number, value: number): this {
    this.#parts.push(varint(field * 8), varint(value));
    return this;
  }

  bytes(field: number, value: Buffer | string | Message): this {
    const content = value instanceof Message ? value.done() : Buffer.from(value);
    this.#parts.push(varint(field * 8 + 2), varint(content.length), content);
    return this;
  }

  done(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let left = value;
  for (; left > 127; left = Math.floor(left / 128)) out.push((left % 128) | 128);
  return Buffer.from([...out, left]);
}

function valueInfo(name: string, type: Type, dims: Dims): Message {
  const shape = new Message();
  for (const dim of dims) {
    shape.bytes(1, typeof dim === "string" ? new Message().bytes(2, dim) : new Message().int(1, dim));
  }
  const tensor = new Message().int(1, types[type]).bytes(2, shape);
  return new Message().bytes(1, name).bytes(2, new Message().bytes(1, tensor));
}

export interface TinyModel {
  readonly inputs: readonly (readonly [name: string, type: Type, dims: Dims])[];
  readonly outputs: readonly (readonly [name: string, type: Type, dims: Dims])[];
  /** Constants of float32 or int64; `external` says in which file their bytes are. */
  readonly constants?: readonly {
    readonly name: string;
    readonly dims: readonly number[];
    readonly data: Float32Array | BigInt64Array;
    readonly external?: string;
  }[];
  readonly nodes: readonly {
    readonly op: string;
    readonly in: readonly string[];
    readonly out: string;
    /** Whole numbers alone. */
    readonly attributes?: Readonly<Record<string, number>>;
  }[];
}

export function tinyOnnx({ inputs, outputs, constants = [], nodes }: TinyModel): Buffer {
  const graph = new Message();
  for (const { op, in: from, out, attributes = {} } of nodes) {
    const node = new Message();
    for (const name of from) node.bytes(1, name);
    node.bytes(2, out).bytes(3, `${op}_${out}`).bytes(4, op);
    for (const [name, value] of Object.entries(attributes)) {
      node.bytes(5, new Message().bytes(1, name).int(3, value).int(20, 2));
    }
    graph.bytes(1, node);
  }
  graph.bytes(2, "tiny");
  for (const { name, dims, data, external } of constants) {
    const tensor = new Message();
    for (const dim of dims) tensor.int(1, dim);
    tensor.int(2, data instanceof Float32Array ? types.float32 : types.int64).bytes(8, name);
    if (external === undefined) tensor.bytes(9, Buffer.from(data.buffer));
    else tensor.bytes(13, new Message().bytes(1, "location").bytes(2, external)).int(14, 1);
    graph.bytes(5, tensor);
  }
  for (const input of inputs) graph.bytes(11, valueInfo(...input));
  for (const output of outputs) graph.bytes(12, valueInfo(...output));
  return new Message()
    .int(1, 8)
    .bytes(2, "tests")
    .bytes(7, graph)
    .bytes(8, new Message().bytes(1, "").int(2, 17))
    .done();
}

/** A folder with `model.onnx` and its manifest; the folder. `manifest` stands over what is usual. */
export function modelFolder(scratch: Scratch, name: string, model: Buffer, manifest: object): string {
  const folder = scratch.folder(name);
  writeFileSync(join(folder, "model.onnx"), model);
  const usual = { name: "tiny", model: { file: "model.onnx", sha256: hash("sha256", model, "hex") } };
  writeFileSync(join(folder, "model.yaml"), stringify({ ...usual, ...manifest }));
  return folder;
}

/**
 * Looks bytes up in a table of two rows: a file whose first byte is above 1 makes the whole batch fail, with the name of the
 * operation in the error.
 */
export function pickyModel(looked = "looked up"): Buffer {
  return tinyOnnx({
    inputs: [["bytes", "int64", ["batch", 1]]],
    outputs: [["y", "float32", ["batch", 2]]],
    constants: [
      { name: "table", dims: [2, 2], data: Float32Array.from([0.9, 0.1, 0.2, 0.8]) },
      { name: "axis", dims: [1], data: BigInt64Array.from([1n]) },
    ],
    nodes: [
      { op: "Squeeze", in: ["bytes", "axis"], out: "flat" },
      { op: "Gather", in: ["table", "flat"], out: looked },
      { op: "Identity", in: [looked], out: "y" },
    ],
  });
}

export const pickyManifest = {
  task: "classify",
  input: { kind: "bytes", tensor: "bytes", windows: [{ at: "head", length: 1 }] },
  output: { tensor: "y", activation: "none" },
  labels: ["zero", "one"],
};

/** Takes memory in proportion to the square of `width`, for each file: `width` floats times `width` floats. */
export function hungryModel(type: "float32" | "int64" = "float32"): Buffer {
  return tinyOnnx({
    inputs: [["x", type, ["batch", "width"]]],
    outputs: [["y", "float32", ["batch"]]],
    constants: [
      { name: "last", dims: [1], data: BigInt64Array.from([2n]) },
      { name: "middle", dims: [1], data: BigInt64Array.from([1n]) },
      { name: "both", dims: [2], data: BigInt64Array.from([1n, 2n]) },
    ],
    nodes: [
      { op: "Cast", in: ["x"], out: "floats", attributes: { to: types.float32 } },
      { op: "Unsqueeze", in: ["floats", "last"], out: "column" },
      { op: "Unsqueeze", in: ["floats", "middle"], out: "row" },
      { op: "Mul", in: ["column", "row"], out: "square" },
      { op: "ReduceSum", in: ["square", "both"], out: "y", attributes: { keepdims: 0 } },
    ],
  });
}

/** Gives all that the hungry one takes: what it says is as large as what it needs, and has to be copied. */
export function generousModel(): Buffer {
  return tinyOnnx({
    inputs: [["x", "float32", ["batch", "width"]]],
    outputs: [["y", "float32", ["batch", "width", "width"]]],
    constants: [
      { name: "last", dims: [1], data: BigInt64Array.from([2n]) },
      { name: "middle", dims: [1], data: BigInt64Array.from([1n]) },
    ],
    nodes: [
      { op: "Unsqueeze", in: ["x", "last"], out: "column" },
      { op: "Unsqueeze", in: ["x", "middle"], out: "row" },
      { op: "Mul", in: ["column", "row"], out: "y" },
    ],
  });
}
