/** The JSON Schema of what planners write. */
import { z } from "zod";
import { flowDocument } from "../../contract/flows.ts";
import type { JsonSchema } from "../../contract/json-schema.ts";

/** For prompts, and for endpoints that hold answers to a schema. */
export function flowSchema(): JsonSchema {
  return z.toJSONSchema(flowDocument, { io: "input" }) as JsonSchema;
}
