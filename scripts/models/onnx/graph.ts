/**
 * Writes ONNX models without any dependency: a graph takes inputs, weights and operators by name, and becomes the bytes
 * of a `.onnx` file. Field numbers are those of onnx.proto3. A graph may be the attribute of an operator (`Loop`), and
 * then sees the names of the graph around it.
 */
import { Message } from "./wire.ts";

/** Element types, by their numbers in `TensorProto.DataType`. */
export const elementTypes = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9 } as const;
export type ElementType = keyof typeof elementTypes;
type Elements = Float32Array | Uint8Array | Int32Array | BigInt64Array;

/** What an operator may be told: an integer, integers, a float (in a wrapper, for 1 is a float as well), a body. */
export type Attribute = number | readonly number[] | { readonly float: number } | Graph;
export type Dimensions = readonly (number | string)[];

export interface OperatorOptions {
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Names of the results, where they matter; made up otherwise. */
  readonly outputs?: readonly string[];
  readonly domain?: string;
}

const attributeTypes = { float: 1, int: 2, graph: 5, ints: 7 } as const;
const IR_VERSION = 8;
const OPSET = 17;

function elementTypeOf(values: Elements): number {
  if (values instanceof Float32Array) return elementTypes.float32;
  if (values instanceof Uint8Array) return elementTypes.uint8;
  return values instanceof Int32Array ? elementTypes.int32 : elementTypes.int64;
}

function tensorMessage(name: string, dimensions: readonly number[], values: Elements): Message {
  const expected = dimensions.reduce((size, dimension) => size * dimension, 1);
  if (values.length !== expected) {
    throw new RangeError(`tensor ${name}: expected ${expected} elements, found ${values.length}`);
  }
  const message = new Message();
  for (const dimension of dimensions) message.int(1, dimension);
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return message.int(2, elementTypeOf(values)).text(8, name).bytes(9, raw);
}

function attributeMessage(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (value instanceof Graph) return message.message(6, value.message()).int(20, attributeTypes.graph);
  if (typeof value === "number") return message.int(3, value).int(20, attributeTypes.int);
  if ("float" in value) return message.float(2, value.float).int(20, attributeTypes.float);
  for (const item of value) message.int(8, item);
  return message.int(20, attributeTypes.ints);
}

function valueMessage(name: string, type: ElementType, dimensions: Dimensions): Message {
  const shape = new Message();
  for (const dimension of dimensions) {
    const entry = new Message();
    shape.message(1, typeof dimension === "string" ? entry.text(2, dimension) : entry.int(1, dimension));
  }
  const tensor = new Message().int(1, elementTypes[type]).message(2, shape);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

/** One graph under construction; methods give back the names of values, to be handed to further operators. */
export class Graph {
  readonly #name: string;
  readonly #nodes: Message[] = [];
  readonly #weights = new Map<string, Message>();
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  readonly #domains = new Set<string>();
  #count = 0;

  /** The name must differ from that of every graph around it: it prefixes the names that are made up. */
  constructor(name: string) {
    this.#name = name;
  }

  input(name: string, type: ElementType, dimensions: Dimensions): string {
    this.#inputs.push(valueMessage(name, type, dimensions));
    return name;
  }

  output(name: string, type: ElementType, dimensions: Dimensions): string {
    this.#outputs.push(valueMessage(name, type, dimensions));
    return name;
  }

  /** A weight by name. A name that is there already is left as it is, so that layers may share weights. */
  weight(name: string, dimensions: readonly number[], values: () => Elements): string {
    if (!this.#weights.has(name)) this.#weights.set(name, tensorMessage(name, dimensions, values()));
    return name;
  }

  /** Integers of 64 bits: a list, or a single number without dimensions. */
  int64(values: readonly number[] | number): string {
    const list = typeof values === "number" ? [values] : values;
    const dimensions = typeof values === "number" ? [] : [list.length];
    return this.weight(this.#fresh("int64"), dimensions, () => BigInt64Array.from(list, BigInt));
  }

  int32(value: number): string {
    return this.weight(this.#fresh("int32"), [], () => Int32Array.of(value));
  }

  float32(value: number): string {
    return this.weight(this.#fresh("float32"), [], () => Float32Array.of(value));
  }

  /** An operator with one result. An absent optional input is the empty name. */
  op(type: string, inputs: readonly string[], options: OperatorOptions = {}): string {
    const [output = this.#fresh(type)] = options.outputs ?? [];
    this.ops(type, inputs, { ...options, outputs: [output] });
    return output;
  }

  /** An operator whose results are named by the caller. */
  ops(
    type: string,
    inputs: readonly string[],
    options: OperatorOptions & { readonly outputs: readonly string[] },
  ): void {
    const node = new Message();
    for (const input of inputs) node.text(1, input);
    for (const output of options.outputs) node.text(2, output);
    node.text(3, this.#fresh(`${type}_node`)).text(4, type);
    for (const [name, value] of Object.entries(options.attributes ?? {}))
      node.message(5, attributeMessage(name, value));
    if (options.domain !== undefined) {
      node.text(7, options.domain);
      this.#domains.add(options.domain);
    }
    this.#nodes.push(node);
  }

  message(): Message {
    const message = new Message();
    for (const node of this.#nodes) message.message(1, node);
    message.text(2, this.#name);
    for (const weight of this.#weights.values()) message.message(5, weight);
    for (const input of this.#inputs) message.message(11, input);
    for (const output of this.#outputs) message.message(12, output);
    return message;
  }

  /** The bytes of a model whose graph this is. */
  model(producer: string): Uint8Array {
    const message = new Message().int(1, IR_VERSION).text(2, producer).message(7, this.message());
    message.message(8, new Message().text(1, "").int(2, OPSET));
    for (const domain of this.#domains) message.message(8, new Message().text(1, domain).int(2, 1));
    return message.finish();
  }

  #fresh(what: string): string {
    return `${this.#name}.${what}.${this.#count++}`;
  }
}
