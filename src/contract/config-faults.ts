/** Says in words what is wrong with a configuration: the place, what was expected, what was found. */
import type { z } from "zod";
import { knownKeys } from "./config-json-schema.ts";
import { InvalidInputError, type Fault } from "./errors.ts";
import { configSchema, type Config } from "./config.ts";
import { suggest } from "./suggest.ts";
import { checkTemplates } from "./template.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** A fault with its path in the file, so that the reader can add the line or the variable. */
interface ConfigFault extends Fault {
  readonly path: Path;
}

export type ParsedConfig =
  | { readonly kind: "valid"; readonly config: Config }
  | { readonly kind: "faulty"; readonly faults: readonly ConfigFault[] };

/** Checks a whole configuration, the rules between settings included. */
export function parseConfig(raw: unknown): ParsedConfig {
  const result = configSchema.safeParse(raw);
  const own = result.success ? [] : result.error.issues.flatMap((issue) => faultsOf(issue, raw));
  // A rule over a value that is no value says nothing new.
  const faults = [...own, ...ruleFaults(raw).filter((rule) => !own.some((fault) => fault.where === rule.where))];
  return result.success && faults.length === 0 ? { kind: "valid", config: result.data } : { kind: "faulty", faults };
}

/** `binary.flags[0]`, `profiles.big.memory`. */
export function showPath(path: Path): string {
  const shown = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return shown.startsWith(".") ? shown.slice(1) : shown === "" ? "the file" : shown;
}

function faultsOf(issue: Issue, raw: unknown): ConfigFault[] {
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(issue.path, key));
  const found = valueAt(raw, issue.path);
  if (issue.code === "invalid_key") {
    const expected = issue.issues.map((inner) => inner.message).join(", ");
    const key = String(issue.path.at(-1));
    return [
      { path: issue.path, where: showPath(issue.path), expected: `as its key ${expected}`, found: JSON.stringify(key) },
    ];
  }
  return [
    {
      path: issue.path,
      where: showPath(issue.path),
      expected: expectedBy(issue, found),
      found: show(found, issue.path),
    },
  ];
}

function unknownKey(path: Path, key: string): ConfigFault {
  const known = knownKeys(path);
  const near = suggest(key, known);
  const expected = near === undefined ? `one of ${known.join(", ")}` : `a known key (did you mean "${near}"?)`;
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
  if (issue.code === "too_small") return bound(issue.origin, limit(issue.minimum, issue.inclusive, "at least"));
  if (issue.code === "too_big") return bound(issue.origin, limit(issue.maximum, issue.inclusive, "at most"));
  // What is left has the schema's own words.
  return issue.message;
}

function limit(value: number | bigint, inclusive: boolean | undefined, side: "at least" | "at most"): string {
  if (inclusive !== false) return `${value} ${side}`;
  return side === "at least" ? `more than ${value}` : `less than ${value}`;
}

function bound(origin: string, words: string): string {
  if (origin === "string") return words === "1 at least" ? "a text that is not empty" : `a text of ${words} characters`;
  return origin === "array" ? `a list of ${words}` : `a number, ${words}`;
}

function oneOf(values: readonly string[], found: unknown): string {
  const near = typeof found === "string" ? suggest(found, values) : undefined;
  const hint = near === undefined ? "" : ` (did you mean "${near}"?)`;
  return `one of ${values.join(", ")}${hint}`;
}

const SHOWN_CHARS = 100;

/** The value that was found, short; an address may hold a password, so it is not repeated. */
function show(value: unknown, path: Path): string {
  if (value === undefined) return "nothing";
  if (path.at(-1) === "url" || path[0] === "env")
    return typeof value === "string" ? "another text" : `a ${typeof value}`;
  const text = JSON.stringify(value);
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}

function valueAt(raw: unknown, path: Path): unknown {
  let value = raw;
  for (const part of path) value = field(value, String(part));
  return value;
}

function field(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

/** Rules between settings; they read the raw value, so that they are reported together with all other faults. */
function ruleFaults(raw: unknown): ConfigFault[] {
  return [...profileFaults(raw), ...templateFaults(raw), ...sizeFaults(raw)];
}

function profileFaults(raw: unknown): ConfigFault[] {
  const name = field(raw, "profile");
  const profiles = field(raw, "profiles") ?? {};
  if (typeof name !== "string" || name === "default" || typeof profiles !== "object") return [];
  if (field(profiles, name) !== undefined) return [];
  const known = ["default", ...Object.keys(profiles)];
  const expected = `a profile that is declared: ${oneOf(known, name)}`;
  return [{ path: ["profile"], where: "profile", expected, found: JSON.stringify(name) }];
}

function templateFaults(raw: unknown): ConfigFault[] {
  const flags = field(field(raw, "binary"), "flags") ?? [];
  const name = field(field(raw, "output"), "name") ?? "{name}";
  if (!Array.isArray(flags) || !flags.every((flag) => typeof flag === "string") || typeof name !== "string") return [];
  try {
    checkTemplates(flags, name);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return error.faults.map((fault) => {
      const path = fault.where === "output name" ? ["output", "name"] : ["binary", "flags"];
      return { ...fault, path, where: showPath(path) };
    });
  }
}

function sizeFaults(raw: unknown): ConfigFault[] {
  const input = field(raw, "input");
  const [min, max] = [field(input, "min_bytes"), field(input, "max_bytes")];
  if (typeof min !== "number" || typeof max !== "number" || min <= max) return [];
  const path = ["input", "max_bytes"];
  return [{ path, where: showPath(path), expected: `input.min_bytes (${min}) at least`, found: String(max) }];
}
