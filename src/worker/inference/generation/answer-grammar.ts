/**
 * The answers of a shape as a grammar over bytes, by derivatives: what is left to write after a byte is again a grammar.
 * Equal grammars are one object with one number, so that they make a finite automaton, built only where it is walked.
 */
import type { AnswerProperty, AnswerShape } from "../../../contract/answer-schema.ts";
import { assertNever } from "../../../platform/assert.ts";

/** Bytes of one UTF-8 character that are still to come; the next one lies within bounds. */
type Tail = { readonly count: 1 | 2 | 3; readonly low: number; readonly high: number };

type Expression =
  | { readonly kind: "empty" }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly at: number }
  | { readonly kind: "sequence"; readonly head: number; readonly tail: number }
  | { readonly kind: "choice"; readonly options: readonly number[] }
  | { readonly kind: "text"; readonly min: number; readonly max: number; readonly tail: Tail | "escape" | undefined }
  | { readonly kind: "integer"; readonly min: number; readonly max: number; readonly written: string }
  | {
      readonly kind: "items";
      readonly item: number;
      readonly min: number;
      readonly max: number;
      readonly isFirst: boolean;
    };

/** The grammar that nothing satisfies. */
export const DEAD = -2;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const escapable = new Set(Buffer.from('"\\/bfnrt'));
const utf8 = new TextEncoder();

/** What must follow the first byte of a character that is not ASCII, by RFC 3629; nothing for a byte that begins none. */
function tailOf(lead: number): Tail | undefined {
  if (lead >= 0xc2 && lead <= 0xdf) return { count: 1, low: 0x80, high: 0xbf };
  if (lead === 0xe0) return { count: 2, low: 0xa0, high: 0xbf };
  if (lead === 0xed) return { count: 2, low: 0x80, high: 0x9f };
  if (lead >= 0xe1 && lead <= 0xef) return { count: 2, low: 0x80, high: 0xbf };
  if (lead === 0xf0) return { count: 3, low: 0x90, high: 0xbf };
  if (lead >= 0xf1 && lead <= 0xf3) return { count: 3, low: 0x80, high: 0xbf };
  return lead === 0xf4 ? { count: 3, low: 0x80, high: 0x8f } : undefined;
}

function isWithin({ low, high }: Tail, byte: number): boolean {
  return byte >= low && byte <= high;
}

function shorter({ count }: Tail): Tail | undefined {
  return count === 1 ? undefined : { count: count === 3 ? 2 : 1, low: 0x80, high: 0xbf };
}

/** Whether a number within the bounds begins with these characters. */
function beginsInteger(written: string, min: number, max: number): boolean {
  if (written === "-") return min < 0;
  const isNegative = written.startsWith("-");
  const digits = isNegative ? written.slice(1) : written;
  const [low, high] = isNegative ? [Math.max(1, -max), -min] : [Math.max(0, min), max];
  if (low > high) return false;
  if (digits === "0") return !isNegative && low === 0;
  for (let from = Number(digits), span = 1; from <= high; from *= 10, span *= 10) {
    if (from + span - 1 >= low) return true;
  }
  return false;
}

export class AnswerGrammar {
  readonly start: number;
  readonly #expressions: Expression[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #steps: Int32Array[] = [];
  readonly #empty: number;

  constructor(shape: AnswerShape) {
    this.#empty = this.#intern("empty", { kind: "empty" });
    this.start = this.#of(shape);
  }

  /** The grammar after a byte, `DEAD` where it may not stand. */
  step(state: number, byte: number): number {
    // 0 in the table: not known yet. Numbers are kept one higher, the dead grammar as its own negative.
    const table = (this.#steps[state] ??= new Int32Array(256));
    const known = table[byte] ?? 0;
    if (known !== 0) return known === DEAD ? DEAD : known - 1;
    const next = this.#derive(state, byte);
    table[byte] = next === DEAD ? DEAD : next + 1;
    return next;
  }

  /** Whether the answer may end here. */
  isWhole(state: number): boolean {
    const expression = this.#expression(state);
    switch (expression.kind) {
      case "empty":
        return true;
      case "sequence":
        return this.isWhole(expression.head) && this.isWhole(expression.tail);
      case "choice":
        return expression.options.some((option) => this.isWhole(option));
      case "integer":
        return isInteger(expression.written, expression.min, expression.max);
      case "bytes":
      case "text":
      case "items":
        return false;
      default:
        return assertNever(expression);
    }
  }

  #derive(state: number, byte: number): number {
    const expression = this.#expression(state);
    switch (expression.kind) {
      case "empty":
        return DEAD;
      case "bytes": {
        if (expression.bytes[expression.at] !== byte) return DEAD;
        return this.#bytes(expression.bytes, expression.at + 1);
      }
      case "sequence": {
        const first = this.#sequence(this.step(expression.head, byte), expression.tail);
        return this.isWhole(expression.head) ? this.#choice([first, this.step(expression.tail, byte)]) : first;
      }
      case "choice":
        return this.#choice(expression.options.map((option) => this.step(option, byte)));
      case "text":
        return this.#deriveText(expression, byte);
      case "integer":
        return this.#integer(expression.min, expression.max, expression.written + String.fromCharCode(byte));
      case "items":
        return this.step(this.#unrolled(expression), byte);
      default:
        return assertNever(expression);
    }
  }

  #deriveText({ min, max, tail }: Extract<Expression, { kind: "text" }>, byte: number): number {
    if (tail === "escape") return escapable.has(byte) ? this.#text(min, max) : DEAD;
    if (tail !== undefined) return isWithin(tail, byte) ? this.#text(min, max, shorter(tail)) : DEAD;
    if (byte === QUOTE) return min === 0 ? this.#empty : DEAD;
    if (max === 0 || byte < 0x20) return DEAD;
    const left = [Math.max(0, min - 1), max - 1] as const;
    if (byte === BACKSLASH) return this.#text(...left, "escape");
    if (byte < 0x80) return this.#text(...left);
    const following = tailOf(byte);
    return following === undefined ? DEAD : this.#text(...left, following);
  }

  /** One more item, or the end of the list. */
  #unrolled({ item, min, max, isFirst }: Extract<Expression, { kind: "items" }>): number {
    const options: number[] = [];
    if (min === 0) options.push(this.#literal("]"));
    if (max > 0) {
      const rest = this.#sequence(item, this.#items(item, Math.max(0, min - 1), max - 1, false));
      options.push(isFirst ? rest : this.#sequence(this.#literal(","), rest));
    }
    return this.#choice(options);
  }

  #of(shape: AnswerShape): number {
    switch (shape.kind) {
      case "literals":
        return this.#choice(shape.texts.map((text) => this.#literal(text)));
      case "integer":
        return this.#integer(shape.minimum, shape.maximum, "");
      case "text":
        return this.#sequence(this.#literal('"'), this.#text(shape.minChars, shape.maxChars));
      case "array":
        return this.#array(shape);
      case "object":
        return this.#object(shape.properties);
      case "any":
        return this.#choice(shape.options.map((option) => this.#of(option)));
      default:
        return assertNever(shape);
    }
  }

  #array({ first = [], item, minItems, maxItems }: Extract<AnswerShape, { kind: "array" }>): number {
    const [least, most] = [minItems - first.length, maxItems - first.length].map((count) => Math.max(0, count));
    const rest = this.#items(this.#of(item), least ?? 0, most ?? 0, first.length === 0);
    const whole = first.reduceRight(
      (tail, shape, at) => this.#sequence(this.#literal(at === 0 ? "" : ","), this.#sequence(this.#of(shape), tail)),
      rest,
    );
    return this.#sequence(this.#literal("["), whole);
  }

  /** From the last property to the first: what may follow where nothing is written yet, and where something is. */
  #object(properties: readonly AnswerProperty[]): number {
    let [asFirst, asNext] = [this.#literal("}"), this.#literal("}")];
    for (const [name, shape, isOptional = false] of properties.toReversed()) {
      const value = this.#sequence(this.#of(shape), asNext);
      const [first, next] = ["", ","].map((comma) =>
        this.#sequence(this.#literal(`${comma}${JSON.stringify(name)}:`), value),
      ) as [number, number];
      asFirst = isOptional ? this.#choice([first, asFirst]) : first;
      asNext = isOptional ? this.#choice([next, asNext]) : next;
    }
    return this.#sequence(this.#literal("{"), asFirst);
  }

  #literal(text: string): number {
    return this.#bytes(utf8.encode(text), 0);
  }

  #bytes(bytes: Uint8Array, at: number): number {
    if (at === bytes.length) return this.#empty;
    return this.#intern(`bytes ${Buffer.from(bytes.subarray(at)).toString("latin1")}`, { kind: "bytes", bytes, at });
  }

  #sequence(head: number, tail: number): number {
    if (head === DEAD || tail === DEAD) return DEAD;
    if (head === this.#empty) return tail;
    return this.#intern(`sequence ${head} ${tail}`, { kind: "sequence", head, tail });
  }

  #choice(options: readonly number[]): number {
    const live = new Set(options.filter((option) => option !== DEAD).flatMap((option) => this.#optionsOf(option)));
    const [first] = live;
    if (first === undefined) return DEAD;
    if (live.size === 1) return first;
    const sorted = [...live].toSorted((a, b) => a - b);
    return this.#intern(`choice ${sorted.join(" ")}`, { kind: "choice", options: sorted });
  }

  /** A choice among choices is one choice: the same one, however it came about. */
  #optionsOf(state: number): readonly number[] {
    const expression = this.#expression(state);
    return expression.kind === "choice" ? expression.options : [state];
  }

  #text(min: number, max: number, tail?: Tail | "escape"): number {
    const shown = typeof tail === "object" ? `${tail.count} ${tail.low} ${tail.high}` : (tail ?? "");
    return this.#intern(`text ${min} ${max} ${shown}`, { kind: "text", min, max, tail });
  }

  #integer(min: number, max: number, written: string): number {
    const isPossible = written === "" || (/^-?(?:0|[1-9]\d*)?$/.test(written) && beginsInteger(written, min, max));
    return isPossible ? this.#intern(`integer ${min} ${max} ${written}`, { kind: "integer", min, max, written }) : DEAD;
  }

  #items(item: number, min: number, max: number, isFirst: boolean): number {
    return this.#intern(`items ${item} ${min} ${max} ${isFirst}`, { kind: "items", item, min, max, isFirst });
  }

  #intern(key: string, expression: Expression): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#expressions.push(expression) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  #expression(state: number): Expression {
    const expression = this.#expressions[state];
    if (expression === undefined) throw new RangeError(`expected a state of the grammar, found ${state}`);
    return expression;
  }
}

function isInteger(written: string, min: number, max: number): boolean {
  if (!/^-?\d+$/.test(written)) return false;
  const value = Number(written);
  return value >= min && value <= max;
}
