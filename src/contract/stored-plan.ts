/** A plan that was accepted, as it is kept: its graph, where it came from, and what it cost. */
import { z } from "zod";

const count = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits in lower case");

/** What all calls for one goal used together. */
const planSpent = z.strictObject({
  calls: count,
  repairs: count,
  inputTokens: count,
  outputTokens: count,
  /** Null: a call did not tell its cost. */
  costUsd: z.number().nonnegative().nullable(),
  /** Some call did not tell its tokens, and they were counted from its characters. */
  isEstimated: z.boolean(),
});
export type PlanSpent = Readonly<z.output<typeof planSpent>>;

export const storedPlan = z.strictObject({
  version: z.literal(1),
  /** Of the canonical JSON of everything else here. */
  sha256,
  /** What the flow is known by (`planHash`): the same graph has the same one, whoever planned it. */
  graphSha256: sha256,
  goal: z.string().min(1),
  planner: z.strictObject({ name: z.string().min(1), kind: z.string().min(1), model: z.string().nullable() }),
  prompt: z.strictObject({ version: z.string().min(1), sha256 }),
  spent: planSpent,
  acceptedAtMs: count,
  /** The canonical form of the flow, defaults filled in: it means the same when a default has changed. */
  graph: z.record(z.string(), z.json()),
});
export type StoredPlan = Readonly<z.output<typeof storedPlan>>;
/** Before it is sealed with its hashes. */
export type PlanParts = Omit<StoredPlan, "version" | "sha256" | "graphSha256">;

/** Where a plan came from: all but its graph, and the hash of it all. */
export const planOrigin = storedPlan.omit({ version: true, sha256: true, graphSha256: true, graph: true });
export type PlanOrigin = Readonly<z.output<typeof planOrigin>>;
