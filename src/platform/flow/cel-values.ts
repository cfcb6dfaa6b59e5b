/** Between JSON and the values of expressions, where whole numbers are of a type of their own. */
import type { ExpressionProblem } from "../../contract/flow-expressions.ts";

export type CelValue = null | boolean | string | number | bigint | readonly CelValue[] | { [name: string]: CelValue };

/** JSON as expressions see it: a whole number is an `int`, any other one a `double`. */
export function toCel(value: unknown): CelValue {
  if (value === null || value === undefined) return null;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return (value as unknown[]).map(toCel);
  if (typeof value !== "object") throw new TypeError(`expected a value of JSON, found a ${typeof value}`);
  const mapping = Object.entries(value).filter(([, below]) => below !== undefined);
  return Object.fromEntries(mapping.map(([name, below]) => [name, toCel(below)]));
}

const MAX_VALUES = 100_000;
const MAX_CHARS = 1_048_576;
const MAX_DEPTH = 64;

/** What an expression yielded, as JSON of a size that can be kept. */
export function fromCel(
  value: unknown,
): { readonly kind: "value"; readonly value: unknown } | ({ readonly kind: "faulty" } & ExpressionProblem) {
  try {
    return { kind: "value", value: new Copy().of(value, 0) };
  } catch (error) {
    if (error instanceof ResultError) return { kind: "faulty", expected: error.expected, found: error.found };
    throw error;
  }
}

class ResultError extends Error {
  readonly expected: string;
  readonly found: string;

  constructor(expected: string, found: string) {
    super(`expected ${expected}, found ${found}`);
    this.expected = expected;
    this.found = found;
  }
}

/** Counts what it copies: a list may hold one value very often, so that it is larger written out than in memory. */
class Copy {
  #values = 0;
  #chars = 0;

  of(value: unknown, depth: number): unknown {
    this.#values += 1;
    if (this.#values > MAX_VALUES) throw new ResultError(`a result of ${MAX_VALUES} values at most`, "more");
    if (depth > MAX_DEPTH) throw new ResultError(`a result ${MAX_DEPTH} deep at most`, "a deeper one");
    if (typeof value === "string") return this.#text(value);
    if (typeof value === "bigint" || typeof value === "number") return numberOf(value);
    if (typeof value === "boolean" || value === null) return value;
    if (Array.isArray(value)) return (value as unknown[]).map((below) => this.of(below, depth + 1));
    if (typeof value !== "object" || !isPlain(value))
      throw new ResultError("a value of JSON", "a value of another type");
    return Object.fromEntries(
      Object.entries(value).map(([name, below]) => [this.#text(name), this.of(below, depth + 1)]),
    );
  }

  #text(text: string): string {
    this.#chars += text.length;
    if (this.#chars > MAX_CHARS) throw new ResultError(`a result of ${MAX_CHARS} characters at most`, "more");
    return text;
  }
}

function numberOf(value: bigint | number): number {
  const number = Number(value);
  const isExact = typeof value === "bigint" ? Number.isSafeInteger(number) : Number.isFinite(number);
  if (isExact) return number;
  throw new ResultError("a number that JSON holds exactly", String(value));
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
