/**
 * Counts what an agent says it does, and says when it is to be ended. Agents that print stream-json (one JSON object a line,
 * as Claude Code's print mode does) are counted as their lines come; of a program that prints anything else nothing is known
 * but that it printed. Pure.
 */
import type { AgentLimits } from "../../contract/run-spec.ts";

/** The same call again and again. */
interface Repeat {
  readonly call: string;
  readonly name: string;
  readonly times: number;
}

/** What one agent does: the outermost one, or one that a call of it started. */
interface Thread {
  /** Its last message: the lines of one tell the same usage once for each of their parts. */
  readonly message: { readonly id: string; readonly tokens: number } | null;
  readonly repeat: Repeat | null;
  readonly lastCallId: string | null;
}

/** What an agent has used and done so far. */
export interface AgentCount {
  readonly turns: number;
  readonly tokens: number;
  readonly costUsd: number;
  /** By the call that started it; "" is the outermost one. */
  readonly threads: ReadonlyMap<string, Thread>;
  /** The longest repeat. */
  readonly worst: Repeat | null;
}

export const noCount: AgentCount = { turns: 0, tokens: 0, costUsd: 0, threads: new Map(), worst: null };
const newThread: Thread = { message: null, repeat: null, lastCallId: null };
/** More agents than these are not told apart at one time: the ones that were heard of first are forgotten. */
const MAX_THREADS = 64;

/** Why an agent is ended. */
export interface AgentVerdict {
  readonly stop: "budget" | "stuck";
  readonly message: string;
}

type Json = Readonly<Record<string, unknown>>;

/** The count after one more line. */
export function countLine(count: AgentCount, line: string): AgentCount {
  const told = objectOf(line);
  switch (told?.["type"]) {
    case "assistant":
      return countMessage(count, told);
    case "result":
      return countResult(count, told);
    default:
      return count;
  }
}

/** Whether an agent that has done this, and printed nothing for `silentMs`, is to be ended, and why. */
export function verdictOn(count: AgentCount, limits: AgentLimits, silentMs: number): AgentVerdict | null {
  const over = overOf("turns", limits.maxTurns, count.turns) ?? overOf("tokens", limits.maxTokens, count.tokens);
  const found = over ?? overOf("US dollars", limits.maxCostUsd, count.costUsd);
  if (found !== null) return { stop: "budget", message: found };
  const { worst } = count;
  if (limits.repeats !== undefined && worst !== null && worst.times >= limits.repeats) {
    const message = `expected an agent that gets on, found the same call of ${worst.name} ${worst.times} times in a row`;
    return { stop: "stuck", message };
  }
  if (limits.stuckMs !== undefined && silentMs >= limits.stuckMs) {
    return { stop: "stuck", message: `expected an agent that gets on, found no output for ${limits.stuckMs} ms` };
  }
  return null;
}

function overOf(unit: string, limit: number | undefined, used: number): string | null {
  if (limit === undefined || used <= limit) return null;
  // Sums of money are no round numbers in binary.
  return `expected at most ${limit} ${unit}, found ${Number(used.toFixed(6))} used`;
}

function countMessage(count: AgentCount, told: Json): AgentCount {
  const message = recordOf(told["message"]);
  if (message === undefined) return count;
  const parent = textOf(told["parent_tool_use_id"]) ?? "";
  const before = count.threads.get(parent) ?? newThread;
  const id = textOf(message["id"]) ?? "";
  const same = id !== "" && before.message?.id === id ? before.message : null;
  const knownTokens = same?.tokens ?? 0;
  const tokens = Math.max(tokensOf(message["usage"]), knownTokens);
  const thread = callsOf(message).reduce<Thread>(countCall, { ...before, message: { id, tokens } });
  return {
    ...count,
    // An agent that this one starts has turns of its own; its tokens are used by both.
    turns: count.turns + (same !== null || parent !== "" ? 0 : 1),
    tokens: count.tokens + tokens - knownTokens,
    threads: withThread(count.threads, parent, thread),
    worst: worseOf(count.worst, thread.repeat),
  };
}

function callsOf(message: Json): Json[] {
  const content: readonly unknown[] = Array.isArray(message["content"]) ? message["content"] : [];
  return content.flatMap((part) => {
    const use = recordOf(part);
    return use?.["type"] === "tool_use" ? [use] : [];
  });
}

function worseOf(a: Repeat | null, b: Repeat | null): Repeat | null {
  return a === null || (b !== null && b.times > a.times) ? b : a;
}

function withThread(threads: ReadonlyMap<string, Thread>, parent: string, thread: Thread): Map<string, Thread> {
  const others = [...threads].filter(([name]) => name !== parent).slice(1 - MAX_THREADS);
  return new Map([...others, [parent, thread]]);
}

function countCall(thread: Thread, use: Json): Thread {
  const id = textOf(use["id"]);
  if (id !== null && id === thread.lastCallId) return thread;
  const name = textOf(use["name"])?.slice(0, 100) ?? "a tool";
  const call = callOf(name, use["input"] ?? null);
  if (call === null) return { ...thread, repeat: null, lastCallId: id };
  const { repeat } = thread;
  const times = repeat?.call === call ? repeat.times + 1 : 1;
  return { ...thread, repeat: { call, name, times }, lastCallId: id };
}

/** What tells a call from another; null for an input that is nested too deeply to be looked at. */
function callOf(name: string, input: unknown): string | null {
  try {
    return JSON.stringify([name, sorted(input)]);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** The last word: it knows all, what was not told in between included. */
function countResult(count: AgentCount, told: Json): AgentCount {
  const of = (name: string) => numberOf(told[name]) ?? 0;
  return {
    ...count,
    turns: Math.max(count.turns, of("num_turns")),
    tokens: Math.max(count.tokens, tokensOf(told["usage"])),
    costUsd: Math.max(count.costUsd, of("total_cost_usd")),
  };
}

const kindsOfTokens = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];

function tokensOf(usage: unknown): number {
  const told = recordOf(usage);
  return told === undefined ? 0 : kindsOfTokens.reduce((sum, kind) => sum + (numberOf(told[kind]) ?? 0), 0);
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function recordOf(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function objectOf(line: string): Json | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return recordOf(JSON.parse(line));
  } catch {
    return undefined; // Text that looks like JSON is text.
  }
}

/** Keys in one order: the same input is the same call, however it is written. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  const record = recordOf(value);
  if (record === undefined) return value;
  return Object.entries(record)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)]);
}
