/** Reads a YAML configuration: values, where each stands, and `${VAR}` templates. */
import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, Scalar, visit, type Document } from "yaml";
import { messageOf } from "../contract/errors.ts";
import { showPath, type PathFault } from "../contract/schema-faults.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ConfigDocument {
  /** Undefined when the text is no YAML: there is nothing to check further then. */
  readonly value: unknown;
  readonly faults: readonly PathFault[];
  /** The line of a setting, or of the nearest mapping around it. */
  lineOf(path: readonly PropertyKey[]): number | undefined;
}

/** Aliases that a file may expand to; a hundred are plenty, a billion laughs are not. */
const MAX_ALIASES = 100;

/** Reads the text; `file` is for the messages. */
export function readConfigDocument(text: string, file: string, env: Environment): ConfigDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2" });
  const broken = [...document.errors, ...document.warnings];
  if (broken.length > 0) {
    const faults = broken.map((error): PathFault => {
      const { line, col } = lines.linePos(error.pos[0]);
      return { path: [], where: `${file}:${line}:${col}`, expected: "valid YAML", found: error.message };
    });
    return { value: undefined, faults, lineOf: () => undefined };
  }
  const faults = expandTemplates(document, env);
  try {
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {}, faults, lineOf: lineFinder(document, lines) };
  } catch (error) {
    const fault = { path: [], where: file, expected: `${MAX_ALIASES} aliases at most`, found: messageOf(error) };
    return { value: undefined, faults: [fault], lineOf: () => undefined };
  }
}

/** Puts variables in place of templates, after the parse: a value can never become a key or a second setting. */
function expandTemplates(document: Document, env: Environment): PathFault[] {
  const faults: PathFault[] = [];
  visit(document, {
    Scalar: (key, node, ancestors) => {
      if (key === "key" || typeof node.value !== "string" || !node.value.includes("${")) return;
      const missing: string[] = [];
      const text = expandVariables(node.value, env, missing);
      node.value = node.type === Scalar.PLAIN ? plainValue(text) : text;
      const path = pathOf([...ancestors, node]);
      for (const name of missing) {
        const expected = `the variable ${name} to be set, or a default: \${${name}:-…}`;
        faults.push({ path, where: showPath(path), expected, found: "nothing" });
      }
    },
  });
  return faults;
}

/** `${VAR}`, `${VAR:-default}` (also for an empty VAR), and `$${` for the characters themselves. */
function expandVariables(text: string, env: Environment, missing: string[]): string {
  return text.replace(
    /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
    (all, name: string | undefined, fallback: string | undefined) => {
      if (name === undefined) return "${";
      const value = env[name];
      if (value !== undefined && !(value === "" && fallback !== undefined)) return value;
      if (fallback !== undefined) return fallback;
      missing.push(name);
      return all;
    },
  );
}

/** What a bare word is in YAML, so that `max_processes: ${N}` is a number. */
function plainValue(text: string): string | number | boolean {
  if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text)) return Number(text);
  return text === "true" || text === "false" ? text === "true" : text;
}

/** The path of the last node of a chain that begins with the document. */
function pathOf(chain: readonly unknown[]): PropertyKey[] {
  const path: PropertyKey[] = [];
  for (const [at, node] of chain.entries()) {
    if (isPair(node)) path.push(keyOf(node.key));
    else if (isSeq(node)) path.push(node.items.indexOf(chain[at + 1]));
  }
  return path;
}

function lineFinder(document: Document, lines: LineCounter): (path: readonly PropertyKey[]) => number | undefined {
  return (path) => {
    for (let length = path.length; length > 0; length -= 1) {
      const offset = offsetOf(document, path.slice(0, length));
      if (offset !== undefined) return lines.linePos(offset).line;
    }
    return undefined;
  };
}

/** Where a setting begins: at its key, since a section's own value begins on the line below. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number | undefined {
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const pair = isMap(parent) ? parent.items.find(({ key }) => keyOf(key) === String(path.at(-1))) : undefined;
  const node: unknown = pair === undefined ? document.getIn(path, true) : pair.key;
  return isNode(node) ? node.range?.[0] : undefined;
}

function keyOf(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}
