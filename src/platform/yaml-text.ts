/** Reads YAML (and with it JSON): values, and the line of each. A file that means to do harm is a fault, not a crash. */
import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, visit, type Document } from "yaml";
import { messageOf } from "../contract/errors.ts";
import type { PathFault } from "../contract/schema-faults.ts";

/** A value of a file, with what is needed to say where it stands. */
export interface YamlValue {
  /** Undefined when the text is no YAML: there is nothing to check further then. */
  readonly value: unknown;
  readonly faults: readonly PathFault[];
  /** The line of a setting, or of the nearest mapping around it. */
  lineOf(path: readonly PropertyKey[]): number | undefined;
}

/** A document whose syntax is good. */
export interface YamlDocument {
  readonly kind: "read";
  readonly document: Document;
  readonly lines: LineCounter;
}

/** Aliases that a file may expand to; a hundred are plenty, a billion laughs are not. */
const MAX_ALIASES = 100;

/** Parses the text; `file` is for the messages. */
export function readYaml(
  text: string,
  file: string,
): YamlDocument | { readonly kind: "faulty"; readonly value: YamlValue } {
  const lines = new LineCounter();
  let document: Document;
  try {
    // Its own look for double keys compares each key with all others.
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2", uniqueKeys: false });
  } catch (error) {
    // Brackets within brackets without end are more than the parser's stack holds.
    return {
      kind: "faulty",
      value: faultyValue([{ path: [], where: file, expected: "valid YAML", found: messageOf(error) }]),
    };
  }
  const broken = [...document.errors, ...document.warnings].map(({ pos: [at], message }) => ({ at, message }));
  const faults = [...broken, ...doubleKeys(document)].map(({ at, message }): PathFault => {
    const { line, col } = lines.linePos(at);
    return { path: [], where: `${file}:${line}:${col}`, expected: "valid YAML", found: message };
  });
  return faults.length > 0 ? { kind: "faulty", value: faultyValue(faults) } : { kind: "read", document, lines };
}

/** The values of a document. */
export function valueOf({ document, lines }: YamlDocument, file: string): YamlValue {
  const lineOf = lineFinder(document, lines);
  try {
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }), faults: [], lineOf };
  } catch (error) {
    const fault = { path: [], where: file, expected: `${MAX_ALIASES} aliases at most`, found: messageOf(error) };
    return faultyValue([fault]);
  }
}

function faultyValue(faults: readonly PathFault[]): YamlValue {
  return { value: undefined, faults, lineOf: () => undefined };
}

function doubleKeys(document: Document): { at: number; message: string }[] {
  const doubles: { at: number; message: string }[] = [];
  visit(document, {
    Map: (_key, map) => {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        const name = keyOf(key);
        if (seen.has(name)) {
          const at = isNode(key) ? (key.range?.[0] ?? 0) : 0;
          doubles.push({ at, message: `Map keys must be unique: ${JSON.stringify(name)}` });
        }
        seen.add(name);
      }
    },
  });
  return doubles;
}

/** The path of the last node of a chain that begins with the document. */
export function pathOf(chain: readonly unknown[]): PropertyKey[] {
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
