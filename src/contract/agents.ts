/**
 * The `agents` section of the configuration: programs that `agent` nodes of flows run, by name. An agent is a process like any
 * other: it is admitted, measured and ended as these are, and what it prints is its transcript.
 */
import { z } from "zod";
import { sandboxLevels } from "./allow.ts";
import { seconds } from "./config-units.ts";

/** What stands in the arguments of an agent program for what its node says. */
export const agentPlaceholders = ["prompt", "tools", "max_turns", "max_tokens", "max_cost_usd"] as const;
type AgentPlaceholder = (typeof agentPlaceholders)[number];

const program = z.strictObject({
  /** The binary and its arguments; `{prompt}` and the other placeholders stand for what the node says. */
  command: z.array(z.string()).min(1),
  /** The same call of a tool, with the same input, so many times in a row ends it; a node may say otherwise. */
  max_repeats: z.int().min(2).max(1_000).optional(),
  /** It is ended when it has printed nothing for so long; a node may say otherwise. */
  stuck_seconds: seconds({ min: 0.001, max: 2_147_483 }).optional(),
});

/** A program as a flow keeps it: its command, the binary by an absolute path, with its limits where it has any. */
export const keptAgent = z.union([z.array(z.string()), program]);
export type KeptAgent =
  readonly string[] | Readonly<Omit<z.output<typeof program>, "command"> & { command: readonly string[] }>;

/** The program in its long form. */
export function agentProgram(kept: KeptAgent): Exclude<KeptAgent, readonly string[]> {
  return "command" in kept ? kept : { command: kept };
}

/** The same call so many times in a row is a loop, where neither the node nor the program says otherwise. */
export const DEFAULT_REPEATS = 5;

export const agentsSchema = z.record(
  z.string().regex(/^[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?$/, "lower-case letters, digits, - and _, 40 at most"),
  program,
);

/** What an agent says that it used. Tokens of all kinds, also of agents that it started; money as it is told. */
export const agentUsage = z.object({
  turns: z.int().nonnegative(),
  tokens: z.int().nonnegative(),
  costUsd: z.number().nonnegative(),
});
export type AgentUsage = Readonly<z.output<typeof agentUsage>>;

/** Both together; undefined is nothing that anybody told of. */
export function sumOfUsage(a: AgentUsage | undefined, b: AgentUsage | undefined): AgentUsage | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return { turns: a.turns + b.turns, tokens: a.tokens + b.tokens, costUsd: a.costUsd + b.costUsd };
}

/** The variable in which an agent is told what it works on, and within which limits: JSON. */
export const TASK_VARIABLE = "HEADROOM_TASK";

/** What an agent is told of its task. What it starts in turn may only be held tighter (`task-limits.ts`). */
export const taskMessage = z.object({
  task_id: z.string(),
  parent_id: z.string(),
  /** As its caller gave it, who may have had one of any form. */
  trace_id: z.string().min(1),
  constraints: z.object({
    tools: z.array(z.string()),
    max_turns: z.int().min(1),
    max_tokens: z.int().min(1).nullable(),
    max_cost_usd: z.number().min(0).nullable(),
    timeout_seconds: z.number().positive().nullable(),
    // A flow that a version before has started says nothing of these.
    network: z.boolean().nullable().default(null),
    sandbox: z.enum(sandboxLevels).nullable().default(null),
  }),
});
export type TaskMessage = Readonly<z.output<typeof taskMessage>>;

/** What a node says to its program. */
export interface Told {
  readonly tools: readonly string[];
  readonly max_turns: number;
  readonly max_tokens?: number | undefined;
  readonly max_cost_usd?: number | undefined;
}

/** The command of an agent for one node; `prompt` as it is put in. */
export function agentWords(kept: KeptAgent, node: Told, prompt: string): string[] {
  const figure = (value: number | undefined) => (value === undefined ? null : String(value));
  return expandAgent(agentProgram(kept).command, {
    ...{ prompt, tools: node.tools.join(","), max_turns: String(node.max_turns) },
    ...{ max_tokens: figure(node.max_tokens), max_cost_usd: figure(node.max_cost_usd) },
  });
}

/** The arguments of a program with values in the place of its placeholders. An argument whose only part has no value is left out. */
export function expandAgent(
  command: readonly string[],
  values: Readonly<Record<AgentPlaceholder, string | null>>,
): string[] {
  return command.flatMap((argument) => {
    const alone = agentPlaceholders.find((name) => argument === `{${name}}`);
    if (alone !== undefined) return values[alone] ?? [];
    return [
      argument.replace(/\{([a-z_]+)\}/g, (all, name: string) => {
        const known = agentPlaceholders.find((placeholder) => placeholder === name);
        return known === undefined ? all : (values[known] ?? "");
      }),
    ];
  });
}
