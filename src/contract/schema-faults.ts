/** Says in words what a schema found wrong: the place, what was expected, what was found. */
import type { z } from "zod";
import type { Fault } from "./errors.ts";
import { suggest } from "./suggest.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** A fault with its path in the value, so that a reader can add the line, the variable or a pointer. */
export interface PathFault extends Fault {
  readonly path: Path;
}

/** Every fault of a value that a schema refused. `knownKeys` names the keys below a path. */
export function schemaFaults(
  issues: readonly Issue[],
  raw: unknown,
  knownKeys: (path: Path) => readonly string[],
): PathFault[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "unrecognized_keys") return [faultOf(issue, raw)];
    return issue.keys.map((key) => unknownKey(issue.path, key, knownKeys(issue.path)));
  });
}

/** `binary.flags[0]`, `profiles.big.memory`. */
export function showPath(path: Path, whole = "the file"): string {
  if (path.length === 0) return whole;
  const shown = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return shown.startsWith(".") ? shown.slice(1) : shown;
}

/** One field of a value that may be no object at all. */
export function field(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

/** A closed list of words, with the one that was probably meant. */
export function oneOf(values: readonly string[], found: unknown): string {
  const near = typeof found === "string" ? suggest(found, values) : undefined;
  const hint = near === undefined ? "" : ` (did you mean "${near}"?)`;
  return values.length === 1 ? `${values[0] ?? ""}${hint}` : `one of ${values.join(", ")}${hint}`;
}

const SHOWN_CHARS = 100;

/** The value that was found, short; an address and a variable may hold a password, so they are not repeated. */
export function showFound(value: unknown, path: Path): string {
  if (value === undefined) return "nothing";
  if (path.at(-1) === "url" || path[0] === "env")
    return typeof value === "string" ? "another text" : `a ${typeof value}`;
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  const text = typeof value === "number" || typeof value === "bigint" ? String(value) : JSON.stringify(value);
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}

function faultOf(issue: Issue, raw: unknown): PathFault {
  const { path } = issue;
  const where = showPath(path);
  if (issue.code === "invalid_key") {
    const key = String(path.at(-1));
    const expected = issue.issues.map((inner) => expectedBy(inner, key)).join(", ");
    return { path, where, expected: `as its key ${expected}`, found: JSON.stringify(key) };
  }
  const found = path.reduce<unknown>((value, part) => field(value, String(part)), raw);
  return { path, where, expected: expectedBy(issue, found), found: showFound(found, path) };
}

function unknownKey(path: Path, key: string, known: readonly string[]): PathFault {
  const others = known.filter((other) => other !== key);
  const near = suggest(key, others);
  const expected = near === undefined ? `one of ${others.join(", ")}` : `a known key (did you mean "${near}"?)`;
  const full = [...path, key];
  return { path: full, where: showPath(full), expected, found: `the unknown key ${JSON.stringify(key)}` };
}

const typeNames: Readonly<Partial<Record<string, string>>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping of keys",
  record: "a mapping of names",
};

function expectedBy(issue: Issue, found: unknown): string {
  if (issue.code === "invalid_type") return typeNames[issue.expected] ?? issue.expected;
  if (issue.code === "invalid_value") return oneOf(issue.values.map(String), found);
  if (issue.code === "too_small") {
    return bound(issue.origin, { value: issue.minimum, side: "at least", inclusive: issue.inclusive });
  }
  if (issue.code === "too_big") {
    return bound(issue.origin, { value: issue.maximum, side: "at most", inclusive: issue.inclusive });
  }
  if (issue.code === "invalid_union" && "options" in issue) return oneOf(issue.options.map(String), found);
  // What is left has the schema's own words.
  return issue.message;
}

interface Limit {
  readonly value: number | bigint;
  readonly side: "at least" | "at most";
  readonly inclusive: boolean | undefined;
}

function bound(origin: string, { value, side, inclusive }: Limit): string {
  const isNotEmpty = side === "at least" && inclusive !== false && Number(value) === 1;
  if (origin === "string") return isNotEmpty ? "a text that is not empty" : `a text of ${value} characters ${side}`;
  if (origin === "array") return isNotEmpty ? "a list that is not empty" : `a list of ${value} ${side}`;
  if (inclusive !== false) return `a number, ${value} ${side}`;
  return side === "at least" ? `a number, more than ${value}` : `a number, less than ${value}`;
}
