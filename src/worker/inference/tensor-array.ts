/**
 * Numbers in the types that tensors have. 64-bit integers are written as pairs of 32: a BigInt per value is slow. 16-bit
 * floats are in arrays of whole numbers, as the runtime takes them on every Node.
 */
import { toHalf } from "./half-float.ts";

export type TensorValues =
  Uint8Array | Int8Array | Uint16Array | Int32Array | BigInt64Array | Float32Array | Float64Array;

export interface NumberArray {
  readonly length: number;
  readonly bytesPerValue: number;
  set(at: number, value: number): void;
  fill(value: number, from: number, to: number): void;
  /** Each byte as a value, multiplied. */
  setBytes(bytes: Uint8Array, at: number, scale: number): void;
  /** Values in an array of the kind that `arrayKindOf` tells of this type. */
  copy(values: TensorValues, at: number): void;
  first(count: number): TensorValues;
}

type Plain = Uint8Array | Int8Array | Int32Array | Float32Array | Float64Array;

const plainTypes = {
  uint8: Uint8Array,
  int8: Int8Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;

/** Whether numbers can be written into tensors of this type. */
export function isTensorType(type: string): boolean {
  return type === "int64" || type === "float16" || Object.hasOwn(plainTypes, type);
}

/** Whether values of this type may lie between whole numbers. */
export function isFloatType(type: string): boolean {
  return type.startsWith("float");
}

/** The types that `arrayFor` makes, for people. */
export const tensorTypes: readonly string[] = [...Object.keys(plainTypes), "float16", "int64"];

/** The arrays in which people give values of a type: 16-bit floats in 32 bits. @throws {TypeError} as `arrayFor` */
export function arrayKindOf(type: string) {
  if (type === "int64") return BigInt64Array;
  if (type === "float16") return Float32Array;
  return plainTypes[plainTypeOf(type)];
}

function plainTypeOf(type: string): keyof typeof plainTypes {
  if (!Object.hasOwn(plainTypes, type)) throw new TypeError(`expected a tensor type, found ${type}`);
  return type as keyof typeof plainTypes;
}

/** @throws {TypeError} for a type that `isTensorType` denies */
export function arrayFor(type: string, length: number): NumberArray {
  if (type === "int64") return new WideIntegers(length);
  if (type === "float16") return new HalfFloats(length);
  return new PlainNumbers(new plainTypes[plainTypeOf(type)](length));
}

class PlainNumbers implements NumberArray {
  readonly #values: Plain;

  constructor(values: Plain) {
    this.#values = values;
  }

  get length(): number {
    return this.#values.length;
  }

  get bytesPerValue(): number {
    return this.#values.BYTES_PER_ELEMENT;
  }

  set(at: number, value: number): void {
    this.#values[at] = value;
  }

  fill(value: number, from: number, to: number): void {
    this.#values.fill(value, from, to);
  }

  setBytes(bytes: Uint8Array, at: number, scale: number): void {
    this.#values.set(bytes, at);
    if (scale === 1) return;
    for (let i = at; i < at + bytes.length; i += 1) this.#values[i] = (this.#values[i] ?? 0) * scale;
  }

  copy(values: Plain, at: number): void {
    this.#values.set(values, at);
  }

  first(count: number): TensorValues {
    return this.#values.subarray(0, count);
  }
}

class HalfFloats implements NumberArray {
  readonly bytesPerValue = 2;
  readonly #values: Uint16Array;

  constructor(length: number) {
    this.#values = new Uint16Array(length);
  }

  get length(): number {
    return this.#values.length;
  }

  set(at: number, value: number): void {
    this.#values[at] = toHalf(value);
  }

  fill(value: number, from: number, to: number): void {
    this.#values.fill(toHalf(value), from, to);
  }

  setBytes(bytes: Uint8Array, at: number, scale: number): void {
    for (let i = 0; i < bytes.length; i += 1) this.#values[at + i] = toHalf((bytes[i] ?? 0) * scale);
  }

  copy(values: Float32Array, at: number): void {
    for (const [i, value] of values.entries()) this.#values[at + i] = toHalf(value);
  }

  first(count: number): TensorValues {
    return this.#values.subarray(0, count);
  }
}

class WideIntegers implements NumberArray {
  readonly bytesPerValue = 8;
  readonly #wide: BigInt64Array;
  /** The same memory: the low half of each number first, as all machines have it that this runs on. */
  readonly #halves: Int32Array;

  constructor(length: number) {
    this.#wide = new BigInt64Array(length);
    this.#halves = new Int32Array(this.#wide.buffer);
  }

  get length(): number {
    return this.#wide.length;
  }

  set(at: number, value: number): void {
    if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) {
      this.#halves[at * 2] = value;
      this.#halves[at * 2 + 1] = value < 0 ? -1 : 0;
    } else this.#wide[at] = BigInt(Math.trunc(value));
  }

  fill(value: number, from: number, to: number): void {
    this.#wide.fill(BigInt(Math.trunc(value)), from, to);
  }

  setBytes(bytes: Uint8Array, at: number, scale: number): void {
    for (let i = 0; i < bytes.length; i += 1) this.set(at + i, (bytes[i] ?? 0) * scale);
  }

  copy(values: BigInt64Array, at: number): void {
    this.#wide.set(values, at);
  }

  first(count: number): TensorValues {
    return this.#wide.subarray(0, count);
  }
}
