/** The `planners` section of the configuration: who may be asked for a plan, with which settings and budget. */
import { z } from "zod";
import { bytes, seconds } from "./config-units.ts";
import { KiB, MiB } from "./resources.ts";

const text = z.string().min(1);
const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "a name of a variable");
const dollars = z.number().nonnegative();

/** What one goal may cost, all calls together. */
const budget = z.strictObject({
  calls: z.int().min(1).max(1_000).default(8),
  tokens: z.int().min(1).default(500_000),
  /** Without it money has no bound. */
  usd: z.number().positive().optional(),
  seconds: seconds({ min: 1, max: 86_400 }).default(900),
});
export type PlanBudget = Readonly<z.output<typeof budget>>;

const common = {
  budget: budget.prefault({}),
  /** How often a faulty plan goes back with its faults. */
  repairs: z.int().min(0).max(100).default(3),
  /** The folder of prompts. */
  prompt: z
    .string()
    .regex(/^v\d+$/, "a version of the prompts, such as v2")
    .default("v2"),
  /** For one call. */
  timeout_seconds: seconds({ min: 0.001, max: 86_400 }).default(300),
  answer_max_bytes: bytes({ min: 1 * KiB, max: 64 * MiB }).default(1 * MiB),
};

const recorded = z.strictObject({ ...common, kind: z.literal("recorded"), folder: text });

const claudeCode = z.strictObject({
  ...common,
  kind: z.literal("claude-code"),
  /** The program and what stands in front of the arguments that the planner gives it. */
  command: z.array(z.string()).min(1).default(["claude"]),
  model: text.optional(),
  /** Variables that the program gets from the environment of the command. */
  env_allow: z
    .array(variableName)
    .default(["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR"]),
});

const openai = z.strictObject({
  ...common,
  kind: z.literal("openai"),
  /** The address in front of `/chat/completions`. */
  url: z.string().regex(/^https?:\/\/./, 'an address such as "https://host/v1"'),
  model: text,
  /** Where the key is; never the key itself. Neither: the endpoint wants none. */
  key_env: variableName.optional(),
  key_file: text.optional(),
  /** Asks for an answer by the schema; one that an endpoint does not know is not asked for again. */
  response_format: z.enum(["schema", "json", "none"]).default("schema"),
  /** Prices, for a budget in money. */
  usd_per_million_input_tokens: dollars.optional(),
  usd_per_million_output_tokens: dollars.optional(),
});

const model = z.strictObject({
  ...common,
  kind: z.literal("model"),
  /** The folder of a model of the task `generate`. */
  model: text,
  /** How much a plan of it may hold at most: the schema that its answers are held to has an end everywhere. */
  plan: z
    .strictObject({
      nodes: z.int().min(1).max(64).default(8),
      /** Words of a command, and entries of other lists. */
      words: z.int().min(1).max(64).default(12),
      /** Characters of a text. */
      chars: z.int().min(8).max(4_000).default(160),
    })
    .prefault({}),
});

export const plannerSchema = z.discriminatedUnion("kind", [recorded, claudeCode, openai, model]);
export type PlannerSettings = Readonly<z.output<typeof plannerSchema>>;
export type RecordedSettings = Extract<PlannerSettings, { kind: "recorded" }>;
export type ClaudeCodeSettings = Extract<PlannerSettings, { kind: "claude-code" }>;
export type OpenAiSettings = Extract<PlannerSettings, { kind: "openai" }>;
export type ModelSettings = Extract<PlannerSettings, { kind: "model" }>;

export const plannersSchema = z.record(
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, "letters, digits, - and _, 63 at most"),
  plannerSchema,
);
