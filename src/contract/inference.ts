/** What a model said of one file, as workers tell it, the store keeps it and `results.jsonl` shows it. */
import { z } from "zod";

const scored = z.object({ label: z.string(), confidence: z.number() });
export type ScoredLabel = Readonly<z.output<typeof scored>>;

/** By the task of the model. Likelier labels come first. */
const inferenceValue = z.discriminatedUnion("task", [
  z.object({ task: z.literal("classify"), labels: z.array(scored) }),
  z.object({ task: z.literal("multi-label"), labels: z.array(scored) }),
  z.object({ task: z.literal("regress"), values: z.union([z.array(z.number()), z.record(z.string(), z.number())]) }),
  /** Little-endian 32-bit floats in base64. */
  z.object({ task: z.literal("embed"), vector: z.string() }),
  /** Valid against the schema of the run, or of the model. `tokens`: of the prompt, and of the answer. */
  z.object({
    task: z.literal("generate"),
    answer: z.json(),
    tokens: z.object({ in: z.int().nonnegative(), out: z.int().nonnegative() }).optional(),
  }),
  /** What a plugin made of the outputs. */
  z.object({ task: z.literal("custom"), answer: z.json() }),
]);

export const fileInference = z.object({
  /** The likeliest label, or the fall-back; null where the task has none. */
  label: z.string().nullable(),
  /** Of that label, 0 to 1. */
  confidence: z.number().nullable(),
  value: inferenceValue,
});
export type FileInference = Readonly<z.output<typeof fileInference>>;

/** What results are asked for by. */
export interface InferenceQuery {
  readonly label?: string;
  readonly minConfidence?: number;
  /** Fields of the answer with their values as texts; all of them must be so. */
  readonly fields?: readonly { readonly name: string; readonly value: string }[];
  /** Rows after this path, in path order. */
  readonly afterPath?: string;
  readonly limit: number;
}
