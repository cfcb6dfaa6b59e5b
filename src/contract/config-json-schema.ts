/** The configuration's JSON Schema, for editors, and the list of single settings that environment variables can set. */
import { z } from "zod";
import { configSchema } from "./config.ts";
import { keysAt, type JsonSchema } from "./json-schema.ts";

/** JSON Schema (2020-12) of what people write. */
export function configJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(configSchema, {
    io: "input",
    override: ({ jsonSchema }) => {
      // Bounds that every whole number of JavaScript has say nothing to a reader.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  return { ...(schema as JsonSchema), title: "Headroom configuration" };
}

/** `quantity`: a number, or a text with a unit. `list`: texts or numbers. */
type LeafKind = "number" | "boolean" | "text" | "quantity" | "list";

export interface ConfigLeaf {
  readonly path: readonly string[];
  readonly kind: LeafKind;
  /** Words that stand for a whole list. */
  readonly words: readonly string[];
  /** `HEADROOM_<SECTION>_<KEY>`. */
  readonly variable: string;
}

const leafKinds: Readonly<Partial<Record<string, LeafKind>>> = {
  number: "number",
  integer: "number",
  boolean: "boolean",
  string: "text",
  array: "list",
};

/** Every setting that is one value or one list; what is in free mappings (`profiles`, `env`) has no variable. */
export const configLeaves: readonly ConfigLeaf[] = leavesOf(configJsonSchema(), []);

function leavesOf(schema: JsonSchema, path: readonly string[]): ConfigLeaf[] {
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([key, below]) => leavesOf(below, [...path, key]));
  }
  const { type, anyOf = [] } = schema;
  const words = anyOf.flatMap((branch) => (typeof branch["const"] === "string" ? [branch["const"]] : []));
  // Two types are a number and a text with a unit, unless one is a list.
  const isList = anyOf.some((branch) => branch.type === "array");
  const kind = typeof type === "string" ? leafKinds[type] : isList ? "list" : "quantity";
  return kind === undefined ? [] : [{ path, kind, words, variable: variableOf(path) }];
}

function variableOf(path: readonly string[]): string {
  return `HEADROOM_${path.join("_").replaceAll("-", "_").toUpperCase()}`;
}

/** The keys that are known below a path of the file; empty where any key is. */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  return keysAt(configJsonSchema(), path);
}
