/**
 * Claude Code as a planner: one `claude -p` per call, in an empty folder, without tools, servers and settings of a project,
 * so that it can only write. It is a process group of its own that is ended whole, however the call ends.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import { messageOf } from "../../contract/errors.ts";
import type { ClaudeCodeSettings } from "../../contract/planners.ts";
import type { Planner, PlannerReply, PlanRequest, PlanUsage, PromptMessage } from "./planner.ts";
import { redact } from "./redact.ts";

type Environment = Readonly<Record<string, string | undefined>>;
type Child = ChildProcessByStdio<Writable, Readable, Readable>;
type Failed = Extract<PlannerReply, { kind: "failed" }>;

/** What `--output-format json` prints, as far as it is read here. */
const resultLine = z.looseObject({
  type: z.literal("result"),
  subtype: z.string(),
  is_error: z.boolean(),
  result: z.string().optional(),
  total_cost_usd: z.number().nonnegative().optional(),
  usage: z
    .looseObject({
      input_tokens: z.int().nonnegative(),
      output_tokens: z.int().nonnegative(),
      cache_creation_input_tokens: z.int().nonnegative().nullish(),
      cache_read_input_tokens: z.int().nonnegative().nullish(),
    })
    .optional(),
});
type ResultLine = z.output<typeof resultLine>;

const THROTTLED = /rate limit|overloaded|\b429\b|\b529\b/i;
const SHOWN_CHARS = 300;
/** For what the program had printed when it ended. */
const PIPES_MS = 1_000;
/** The envelope around an answer, and what escapes may add to it. */
const ENVELOPE_BYTES = 65_536;

export class ClaudeCodePlanner implements Planner {
  readonly kind = "claude-code";
  readonly model: string | undefined;
  readonly tellsCost = true;
  readonly #settings: ClaudeCodeSettings;
  readonly #env: Record<string, string>;

  constructor(settings: ClaudeCodeSettings, env: Environment) {
    this.#settings = settings;
    this.model = settings.model;
    this.#env = Object.fromEntries(
      settings.env_allow.flatMap((name) => {
        const value = env[name];
        return value === undefined ? [] : [[name, value]];
      }),
    );
  }

  async plan({ messages }: PlanRequest, signal: AbortSignal): Promise<PlannerReply> {
    signal.throwIfAborted();
    const folder = mkdtempSync(join(tmpdir(), "headroom-plan-"));
    try {
      const [program = "", ...before] = this.#settings.command;
      const child = spawn(program, [...before, ...this.#argumentsFor(messages)], {
        cwd: folder,
        env: this.#env,
        detached: true,
        stdio: ["pipe", "pipe", "pipe"],
      });
      const reply = await this.#converse(child, promptOf(messages), signal);
      signal.throwIfAborted();
      return reply;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Each call ends what it started.
  }

  #argumentsFor(messages: readonly PromptMessage[]): string[] {
    const { model } = this.#settings;
    const system = messages.find(({ role }) => role === "system")?.content ?? "";
    const alone = ["--tools", "", "--strict-mcp-config", "--setting-sources", "", "--max-turns", "1"];
    const chosen = model === undefined ? [] : ["--model", model];
    return ["-p", "--output-format", "json", ...alone, ...chosen, "--system-prompt", system];
  }

  /** Waits for the end of the process group, whichever side brings it about. */
  async #converse(child: Child, prompt: string, signal: AbortSignal): Promise<PlannerReply> {
    const maxBytes = this.#settings.answer_max_bytes * 2 + ENVELOPE_BYTES;
    const end = (): void => {
      endGroup(child);
    };
    signal.addEventListener("abort", end, { once: true });
    try {
      const stdout = collect(child.stdout, maxBytes, end);
      const stderr = collect(child.stderr, maxBytes, end);
      // A program that ends without reading says what is wrong on its own.
      child.stdin.on("error", () => undefined);
      child.stdin.end(prompt);
      const { error, code, killedBy } = await ended(child);
      const printed = { stdout: stdout(), stderr: stderr(), code, killedBy };
      return error === undefined ? this.#read(printed, maxBytes) : this.#fail("unreachable", messageOf(error));
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  #read(printed: Printed, maxBytes: number): PlannerReply {
    const { stdout, stderr, code } = printed;
    if (stdout.isOver || stderr.isOver) return this.#fail("too-long", `more than ${maxBytes} bytes were printed`);
    const line = parseResult(stdout.text);
    if (line === undefined) return this.#withoutResult(printed);
    const usage = usageOf(line);
    const text = line.result ?? "";
    if (line.is_error || line.subtype !== "success" || code !== 0) {
      const failure = THROTTLED.test(text) ? "throttled" : "broken";
      return this.#fail(failure, `${line.subtype}: ${text}`, usage);
    }
    const bytes = Buffer.byteLength(text);
    if (bytes <= this.#settings.answer_max_bytes) return { kind: "answered", text, usage };
    return this.#fail("too-long", `expected ${this.#settings.answer_max_bytes} bytes at most, found ${bytes}`, usage);
  }

  #withoutResult({ stdout, stderr, code, killedBy }: Printed): Failed {
    const said = stderr.text.trim() || stdout.text.trim() || "nothing";
    if (killedBy !== null) return this.#fail("cut-off", `it was ended by ${killedBy} without a result`);
    return this.#fail(code === 0 ? "unreadable" : "broken", `it exited with ${code ?? "no code"} and printed: ${said}`);
  }

  #fail(failure: Failed["failure"], message: string, usage?: PlanUsage): Failed {
    const secrets = Object.entries(this.#env).flatMap(([name, value]) =>
      /KEY|TOKEN|SECRET/.test(name) ? [value] : [],
    );
    const shown = redact(message, secrets).replace(/\s+/g, " ").slice(0, SHOWN_CHARS);
    return { kind: "failed", failure, message: shown, ...(usage !== undefined && { usage }) };
  }
}

interface Printed {
  readonly stdout: { readonly text: string; readonly isOver: boolean };
  readonly stderr: { readonly text: string; readonly isOver: boolean };
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
}

/** Everything but the system prompt, as one text. */
function promptOf(messages: readonly PromptMessage[]): string {
  const turns = messages.filter(({ role }) => role !== "system");
  return turns
    .map(({ role, content }) => (role === "assistant" ? `Your last answer was:\n${content}` : content))
    .join("\n\n");
}

function collect(stream: Readable, maxBytes: number, onOver: () => void): () => { text: string; isOver: boolean } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
    else onOver();
  });
  return () => ({ text: Buffer.concat(chunks).toString("utf8"), isOver: bytes > maxBytes });
}

interface End {
  readonly error?: Error;
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
}

/** The end of the process and of what it printed. */
function ended(child: Child): Promise<End> {
  return new Promise((resolve) => {
    child.once("error", (error) => {
      resolve({ error, code: null, killedBy: null });
    });
    child.once("exit", (code, killedBy) => {
      // What it has started and left behind must not live on.
      endGroup(child);
      // Who left the group may hold the pipes open: then they are closed from this side.
      const timer = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, PIPES_MS);
      child.once("close", () => {
        clearTimeout(timer);
        resolve({ code, killedBy });
      });
    });
  });
}

function endGroup({ pid }: Child): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // The group has ended.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function parseResult(stdout: string): ResultLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    // Told as an end without a result, with what was printed.
    return undefined;
  }
  return resultLine.safeParse(value).data;
}

function usageOf({ usage, total_cost_usd: costUsd }: ResultLine): PlanUsage | undefined {
  if (usage === undefined) return undefined;
  const cached = (usage.cache_creation_input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0);
  return {
    inputTokens: usage.input_tokens + cached,
    outputTokens: usage.output_tokens,
    costUsd: costUsd ?? null,
  };
}
