/**
 * A planner that answers from a folder, offline and always the same. Below it one folder per goal: `goal.txt`, and of call N
 * `N.txt` (the answer) with `N.usage.json`, or `N.failed.json` (a failure). The folder that a plan leaves is one of these.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import type { RecordedSettings } from "../../contract/planners.ts";
import { callFailures, type CallFailureKind, type Planner, type PlannerReply, type PlanRequest } from "./planner.ts";

const usageFile = z.strictObject({
  inputTokens: z.int().nonnegative(),
  outputTokens: z.int().nonnegative(),
  costUsd: z.number().nonnegative().nullable().default(null),
});
const failureKinds = Object.keys(callFailures) as [CallFailureKind, ...CallFailureKind[]];
const failureFile = z.strictObject({
  failure: z.enum(failureKinds),
  message: z.string().min(1),
  retryAfterMs: z.int().nonnegative().optional(),
});

export class RecordedPlanner implements Planner {
  readonly kind = "recorded";
  readonly model = undefined;
  readonly tellsCost = true;
  readonly #maxBytes: number;
  readonly #folders: ReadonlyMap<string, string>;

  /** @throws {InvalidInputError} when the folder holds no goal, or one goal twice */
  constructor({ folder, answer_max_bytes: maxBytes }: Pick<RecordedSettings, "folder" | "answer_max_bytes">) {
    this.#maxBytes = maxBytes;
    this.#folders = goalsBelow(folder);
  }

  plan({ goal, call }: PlanRequest, signal: AbortSignal): Promise<PlannerReply> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const folder = this.#folders.get(normal(goal));
    if (folder === undefined) {
      return Promise.resolve(exhausted(`no answer to this goal is recorded; goals with one: ${this.#folders.size}`));
    }
    return Promise.resolve(this.#replyOf(folder, call));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held open.
  }

  #replyOf(folder: string, call: number): PlannerReply {
    const base = join(folder, String(call));
    try {
      if (existsSync(`${base}.failed.json`)) return failureOf(parseFile(failureFile, `${base}.failed.json`));
      if (!existsSync(`${base}.txt`)) return exhausted(`${base}.txt is not there`);
      const { size } = statSync(`${base}.txt`);
      if (size > this.#maxBytes) {
        return {
          kind: "failed",
          failure: "too-long",
          message: `expected ${this.#maxBytes} bytes at most, found ${size}`,
        };
      }
      const usage = existsSync(`${base}.usage.json`) ? parseFile(usageFile, `${base}.usage.json`) : undefined;
      return { kind: "answered", text: readFileSync(`${base}.txt`, "utf8"), usage };
    } catch (error) {
      return { kind: "failed", failure: "unreadable", message: messageOf(error) };
    }
  }
}

function exhausted(message: string): PlannerReply {
  return { kind: "failed", failure: "exhausted", message };
}

function failureOf({ failure, message, retryAfterMs }: z.output<typeof failureFile>): PlannerReply {
  return { kind: "failed", failure, message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

function parseFile<T>(schema: z.ZodType<T>, path: string): T {
  return schema.parse(JSON.parse(readFileSync(path, "utf8")));
}

/** White space at the ends and line breaks between words make no other goal. */
function normal(goal: string): string {
  return goal.trim().replace(/\s+/g, " ");
}

function goalsBelow(folder: string): ReadonlyMap<string, string> {
  const goals = new Map<string, string>();
  for (const name of namesIn(folder).toSorted()) {
    const path = join(folder, name);
    if (!existsSync(join(path, "goal.txt"))) continue;
    const goal = normal(readFileSync(join(path, "goal.txt"), "utf8"));
    const earlier = goals.get(goal);
    if (earlier !== undefined) throw fault(`${path}/goal.txt`, "another goal", `that of ${earlier}`);
    goals.set(goal, path);
  }
  if (goals.size === 0) throw fault(folder, "a folder with a goal.txt at least", "none");
  return goals;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw fault(folder, "a folder of recorded answers", messageOf(error));
  }
}

function fault(where: string, expected: string, found: string): InvalidInputError {
  return new InvalidInputError("recorded planner", [{ where, expected, found }]);
}
