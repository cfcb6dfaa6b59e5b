/** The JSON Schema of flow files, for editors. */
import { z } from "zod";
import { flowDocument } from "./flows.ts";
import { keysAt, type JsonSchema } from "./json-schema.ts";
import { field } from "./schema-faults.ts";

/** JSON Schema (2020-12) of what people write. */
export function flowJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(flowDocument, {
    io: "input",
    override: ({ jsonSchema }) => {
      // Bounds that every whole number of JavaScript has say nothing to a reader.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  return { ...(schema as JsonSchema), title: "Headroom flow" };
}

let known: JsonSchema | undefined;

/** The keys that are known below a path of a flow file; of a node, those of its kind. */
export function knownFlowKeys(written: unknown, path: readonly PropertyKey[]): readonly string[] {
  known ??= flowJsonSchema();
  const [section, at, ...rest] = path;
  if (section !== "nodes" || at === undefined) return keysAt(known, path);
  const kind = field(field(field(written, "nodes"), String(at)), "kind");
  const kinds = known.properties?.["nodes"]?.items?.oneOf ?? [];
  const ofKind = kinds.find((branch) => branch.properties?.["kind"]?.["const"] === kind);
  return ofKind === undefined ? keysAt(known, path) : keysAt(ofKind, rest);
}
