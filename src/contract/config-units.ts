/** Durations and sizes as people write them: `30s`, `1h30m`, `512MiB`. */
import { z } from "zod";
import { GiB, KiB, MiB } from "./resources.ts";

const durationUnits: Readonly<Partial<Record<string, number>>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const sizeUnits: Readonly<Partial<Record<string, number>>> = {
  b: 1,
  k: KiB,
  kib: KiB,
  kb: 1_000,
  m: MiB,
  mib: MiB,
  mb: 1_000_000,
  g: GiB,
  gib: GiB,
  gb: 1_000_000_000,
  t: 1024 * GiB,
  tib: 1024 * GiB,
  tb: 1_000_000_000_000,
};

/** A number of a text, without sign and exponent. */
const AMOUNT = String.raw`\d+(?:\.\d+)?`;
const DURATION = String.raw`(?:${AMOUNT}\s*(?:${Object.keys(durationUnits).join("|")})\s*)+`;
const SIZE = String.raw`${AMOUNT}\s*(?:${Object.keys(sizeUnits).map(anyCase).join("|")})\s*`;

/** Patterns of JSON Schema have no flags. */
function anyCase(word: string): string {
  return word.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
}

const durationText = new RegExp(String.raw`^\s*${DURATION}$`);
const plainText = new RegExp(`^${AMOUNT}$`);
const sizeText = new RegExp(String.raw`^\s*${SIZE}$`);

/** Milliseconds of a text such as `500ms`, `30s` or `1h30m`; undefined when it is none. */
export function parseDurationMs(text: string): number | undefined {
  if (!durationText.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) {
    sum += Number(amount) * (durationUnits[unit ?? ""] ?? Number.NaN);
  }
  return sum;
}

/** Bytes of a text such as `64k`, `512MiB` or `1.5GB` (k, M and G alone are powers of 1024); undefined when it is none. */
export function parseSizeBytes(text: string): number | undefined {
  if (!sizeText.test(text)) return undefined;
  const [, amount, unit] = /(\d+(?:\.\d+)?)\s*([a-z]+)/i.exec(text) ?? [];
  const factor = sizeUnits[unit?.toLowerCase() ?? ""];
  return amount === undefined || factor === undefined ? undefined : Math.round(Number(amount) * factor);
}

interface Bounds {
  readonly min: number;
  readonly max?: number;
}

interface Unit {
  readonly expected: string;
  readonly parse: (text: string) => number | undefined;
  /** What is taken, for editors; what counts is decided by `parse`, with a message that says it all. */
  readonly text: z.ZodString;
  readonly isWhole: boolean;
}

/** One for all settings of a unit: a schema that is asked to share its parts has it once. */
function orNumber(pattern: string): z.ZodString {
  return z.string().meta({ pattern: String.raw`^\s*(?:${AMOUNT}\s*|${pattern})$` });
}

const durationOrNumber = orNumber(DURATION);
const sizeOrNumber = orNumber(SIZE);

/** A number in the unit that the setting's name says, or a text with a unit of its own. */
function quantity(unit: Unit, bounds: Bounds) {
  const { min, max = Number.MAX_SAFE_INTEGER } = bounds;
  const range = bounds.max === undefined ? `${min} at least` : `${min} to ${max}`;
  const expected = `${unit.expected}, ${range}`;
  const number = z.number().meta({ minimum: min, ...(bounds.max !== undefined && { maximum: bounds.max }) });
  const written = z.union([number, unit.text], { error: expected }).describe(expected);
  return written.transform((value, context) => {
    const trimmed = typeof value === "string" ? value.trim() : "";
    const plain = plainText.test(trimmed) ? Number(trimmed) : unit.parse(trimmed);
    const amount = typeof value === "number" ? value : plain;
    const isGood =
      amount !== undefined && amount >= min && amount <= max && (!unit.isWhole || Number.isInteger(amount));
    if (isGood) return amount;
    context.addIssue({ code: "custom", message: expected, input: value });
    return z.NEVER;
  });
}

function parseSeconds(text: string): number | undefined {
  const ms = parseDurationMs(text);
  return ms === undefined ? undefined : ms / 1_000;
}

/** For a setting that ends in `_seconds`. */
export function seconds(bounds: Bounds) {
  return quantity(
    {
      expected: 'a number of seconds or a duration such as "30s"',
      parse: parseSeconds,
      text: durationOrNumber,
      isWhole: false,
    },
    bounds,
  );
}

/** For a setting that ends in `_ms`. */
export function milliseconds(bounds: Bounds) {
  const expected = 'a whole number of milliseconds or a duration such as "500ms"';
  return quantity({ expected, parse: parseDurationMs, text: durationOrNumber, isWhole: true }, bounds);
}

/** For an amount of bytes. */
export function bytes(bounds: Bounds) {
  const expected = 'a whole number of bytes or a size such as "512MiB"';
  return quantity({ expected, parse: parseSizeBytes, text: sizeOrNumber, isWhole: true }, bounds);
}
