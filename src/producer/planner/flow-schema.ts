/** The JSON Schema of what planners write. */
import { z } from "zod";
import { flowDocument } from "../../contract/flows.ts";
import type { JsonSchema } from "../../contract/json-schema.ts";

/** What occurs often stands in it once: it is part of every question. For prompts, and for endpoints that hold answers to a schema. */
export function flowSchema(): JsonSchema {
  return z.toJSONSchema(flowDocument, { io: "input", reused: "ref" }) as JsonSchema;
}
