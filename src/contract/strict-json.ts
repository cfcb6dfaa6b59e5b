/**
 * JSON that means one thing to every reader: no repeated keys, no numbers that change when they are read, no half
 * characters, bounded depth. What others wrote and we act on (plans) is read with this and not with `JSON.parse`.
 */

export type JsonRead =
  /** `end`: the place behind the value. */
  | { readonly kind: "value"; readonly value: unknown; readonly end: number }
  | { readonly kind: "fault"; readonly at: number; readonly expected: string; readonly found: string };

/** Deeper than any flow file; a value nested deeper is refused before it costs stack. */
const MAX_DEPTH = 64;
const SHOWN_CHARS = 20;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** Reads the one value that begins at `from`, or behind the white space there. Time is linear in what it reads. */
export function readJson(text: string, from = 0): JsonRead {
  const reader = new Reader(text, from);
  try {
    const value = reader.value(0);
    return { kind: "value", value, end: reader.at };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { at, expected } = error;
    return { kind: "fault", at, expected, found: error.found ?? foundAt(text, at) };
  }
}

/** Reads a text that is one value and nothing else. */
export function readWholeJson(text: string): JsonRead {
  const read = readJson(text);
  if (read.kind === "fault") return read;
  const rest = skipSpace(text, read.end);
  if (rest === text.length) return read;
  return { kind: "fault", at: rest, expected: "nothing behind the value", found: foundAt(text, rest) };
}

/** Line and column from 1, as editors count. */
export function placeOf(text: string, at: number): { readonly line: number; readonly column: number } {
  let [line, start] = [1, 0];
  for (let next = text.indexOf("\n"); next >= 0 && next < at; next = text.indexOf("\n", start)) {
    [line, start] = [line + 1, next + 1];
  }
  return { line, column: at - start + 1 };
}

function foundAt(text: string, at: number): string {
  if (at >= text.length) return "the end";
  const shown = text.slice(at, at + SHOWN_CHARS);
  return JSON.stringify(at + SHOWN_CHARS < text.length ? `${shown}…` : shown);
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\n\r".includes(text.charAt(at))) at += 1;
  return at;
}

/** Leaves the recursion; never leaves this file. */
class Refusal extends Error {
  readonly at: number;
  readonly expected: string;
  readonly found: string | undefined;

  constructor(at: number, expected: string, found?: string) {
    super(expected);
    this.at = at;
    this.expected = expected;
    this.found = found;
  }
}

class Reader {
  at: number;
  readonly #text: string;

  constructor(text: string, from: number) {
    this.#text = text;
    this.at = from;
  }

  value(depth: number): unknown {
    this.at = skipSpace(this.#text, this.at);
    if (depth > MAX_DEPTH) throw new Refusal(this.at, `a depth of ${MAX_DEPTH} at most`, "a deeper value");
    switch (this.#text.charAt(this.at)) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    this.at += 1;
    if (this.#takes("}")) return {};
    do {
      const keyAt = skipSpace(this.#text, this.at);
      this.at = keyAt;
      if (this.#text.charAt(keyAt) !== '"') throw new Refusal(keyAt, "a key in double quotes");
      const key = this.#string();
      if (entries.has(key)) throw new Refusal(keyAt, "each key once", `${JSON.stringify(key)} again`);
      // An object with this key of its own is not what it seems to most code.
      if (key === "__proto__") throw new Refusal(keyAt, "another key than __proto__");
      if (!this.#takes(":")) throw new Refusal(this.at, '":"');
      entries.set(key, this.value(depth + 1));
    } while (this.#takes(","));
    if (!this.#takes("}")) throw new Refusal(this.at, '"," or "}"');
    return Object.fromEntries(entries);
  }

  #array(depth: number): unknown[] {
    const values: unknown[] = [];
    this.at += 1;
    if (this.#takes("]")) return values;
    do values.push(this.value(depth + 1));
    while (this.#takes(","));
    if (!this.#takes("]")) throw new Refusal(this.at, '"," or "]"');
    return values;
  }

  #string(): string {
    const start = this.at;
    const end = this.#endOfString(start);
    this.at = end;
    const text = parsedString(this.#text.slice(start, end));
    if (text === undefined) throw new Refusal(start, "known escapes in a text");
    if (!text.isWellFormed()) throw new Refusal(start, "whole characters in a text", "half of a surrogate pair");
    return text;
  }

  #endOfString(start: number): number {
    for (let at = start + 1; at < this.#text.length; at += 1) {
      const code = this.#text.charCodeAt(at);
      if (code === 0x22) return at + 1;
      if (code === 0x5c) at += 1;
      else if (code < 0x20) throw new Refusal(at, "no control characters in a text");
    }
    throw new Refusal(this.#text.length, 'a closing "');
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.at)) throw new Refusal(this.at, "a value");
    this.at += word.length;
    return value;
  }

  #number(): number {
    NUMBER.lastIndex = this.at;
    const [written] = NUMBER.exec(this.#text) ?? [];
    if (written === undefined) throw new Refusal(this.at, "a value");
    const number = Number(written);
    const isKept = Number.isFinite(number) && (!Number.isInteger(number) || Number.isSafeInteger(number));
    if (!isKept) throw new Refusal(this.at, "a number that keeps its value", written.slice(0, SHOWN_CHARS));
    this.at += written.length;
    return number;
  }

  #takes(character: string): boolean {
    this.at = skipSpace(this.#text, this.at);
    if (this.#text.charAt(this.at) !== character) return false;
    this.at += 1;
    return true;
  }
}

function parsedString(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    // An escape that JSON does not know; the caller says where.
    return undefined;
  }
}
