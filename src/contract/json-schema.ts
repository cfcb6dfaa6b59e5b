/** What is read of a JSON Schema (2020-12). */

export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  /** What the keys of a mapping must be. */
  readonly propertyNames?: { readonly enum?: readonly string[] };
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly [keyword: string]: unknown;
}

/** The keys that a schema knows below a path; empty where any key is. */
export function keysAt(schema: JsonSchema, path: readonly PropertyKey[]): readonly string[] {
  let places: readonly JsonSchema[] = alternatives(schema);
  for (const part of path) places = places.flatMap((place) => below(place, String(part)));
  return [...new Set(places.flatMap((place) => place.propertyNames?.enum ?? Object.keys(place.properties ?? {})))];
}

function below(schema: JsonSchema, part: string): JsonSchema[] {
  const next: unknown = schema.properties?.[part] ?? schema["additionalProperties"] ?? schema.items;
  return typeof next === "object" && next !== null ? alternatives(next as JsonSchema) : [];
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  const branches = schema.anyOf ?? schema.oneOf;
  return branches === undefined ? [schema] : branches.flatMap(alternatives);
}
