/** Settings that the environment overrides: `HEADROOM_<SECTION>_<KEY>`. */
import { configLeaves, type ConfigLeaf } from "../contract/config-json-schema.ts";
import type { Fault } from "../contract/errors.ts";
import { editDistance } from "../contract/suggest.ts";
import type { Environment } from "./config-document.ts";

/** One setting from outside the file; `where` is the option or the variable that it came by. */
export interface Setting {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly where: string;
}

export interface EnvironmentSettings {
  readonly settings: readonly Setting[];
  readonly faults: readonly Fault[];
}

/** Variables that only look like a slip of a setting's name. */
const SLIP = 2;

/** Reads every variable that is a setting. An empty one is a fault, and so is one that is nearly a setting's name. */
export function readEnvironment(env: Environment): EnvironmentSettings {
  const settings: Setting[] = [];
  const faults: Fault[] = [];
  const known = new Map(configLeaves.map((leaf) => [leaf.variable, leaf]));
  for (const [where, text] of Object.entries(env)) {
    if (!where.startsWith("HEADROOM_") || text === undefined) continue;
    const leaf = known.get(where);
    if (leaf === undefined) faults.push(...slipFaults(where));
    else if (text.trim() === "")
      faults.push({ where, expected: "a value (unset it to use the file's)", found: "an empty variable" });
    else settings.push({ path: leaf.path, value: valueOf(leaf, text), where });
  }
  return { settings, faults };
}

function slipFaults(where: string): Fault[] {
  const near = configLeaves.find((leaf) => editDistance(leaf.variable, where) <= SLIP);
  if (near === undefined) return [];
  return [{ where, expected: `a known variable (did you mean "${near.variable}"?)`, found: "an unknown one" }];
}

/** The value with the type of the setting; a text that does not have it is left for the schema to refuse. */
function valueOf(leaf: ConfigLeaf, text: string): unknown {
  switch (leaf.kind) {
    case "text":
    case "quantity":
      return text;
    case "number":
      return Number.isFinite(Number(text)) ? Number(text) : text;
    case "boolean":
      return text === "true" || text === "false" ? text === "true" : text;
    case "list":
      return leaf.words.includes(text.trim()) ? text.trim() : listOf(text);
  }
}

/** A JSON list, or words between commas. */
function listOf(text: string): unknown {
  if (text.trimStart().startsWith("[")) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      // Not a list: the schema says what was expected and shows the text.
      return text;
    }
  }
  return text.split(",").map((word) => {
    const trimmed = word.trim();
    return /^\d+$/.test(trimmed) ? Number(trimmed) : trimmed;
  });
}
