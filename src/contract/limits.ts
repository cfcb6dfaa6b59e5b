/** Limits of workers that people change while they run. What is set here counts over a worker's own configuration. */
import { z } from "zod";
import { resourceLimits } from "./config.ts";
import { InvalidInputError } from "./errors.ts";
import { keysAt, type JsonSchema } from "./json-schema.ts";
import { schemaFaults } from "./schema-faults.ts";

const limits = z
  .strictObject({
    ...resourceLimits,
    /** Nothing is claimed while it is set; what runs goes on. */
    paused: z.boolean(),
  })
  .partial();
export type Limits = Readonly<z.output<typeof limits>>;
export type LimitName = keyof Limits;

export const limitNames = Object.keys(limits.shape) as readonly LimitName[];

/** For which workers a limit is set: all, those of a host, or one. The more particular one counts. */
export const ALL_WORKERS = "*";

/** @throws {InvalidInputError} with every fault and its place */
export function parseLimits(input: unknown): Limits {
  const parsed = limits.safeParse(input);
  if (parsed.success) return parsed.data;
  const keys = (path: readonly PropertyKey[]) => keysAt(z.toJSONSchema(limits, { io: "input" }) as JsonSchema, path);
  throw new InvalidInputError(
    "limits",
    schemaFaults(parsed.error.issues, input, keys).map(({ where, expected, found }) => ({ where, expected, found })),
  );
}
