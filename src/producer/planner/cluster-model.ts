/**
 * A model that the cluster itself runs (task `generate`) as a planner: the question is a file, the answer is the model's
 * JSON, held to the schema of the question while it is written. So every answer is a plan by the schema, whatever the
 * model has learned; the loop checks it like any other answer.
 */
import { messageOf } from "../../contract/errors.ts";
import type { ModelSettings } from "../../contract/planners.ts";
import type { AskedAnswer } from "../../contract/run-spec.ts";
import type { Planner, PlannerReply, PlanRequest, PlanUsage } from "./planner.ts";

/** What a model is asked, and how it is to answer. */
export interface ModelQuestion {
  readonly model: string;
  readonly text: string;
  readonly answer: AskedAnswer;
}

/** `cut`: the answer was not whole after the tokens that it might have. */
export type ModelAnswer =
  | { readonly kind: "answered"; readonly text: string; readonly tokens: TokenUse | undefined }
  | { readonly kind: "cut"; readonly message: string };
type TokenUse = Pick<PlanUsage, "inputTokens" | "outputTokens">;

/** Runs a model over one text and resolves with what it says; rejects when it says nothing. */
export type AskModel = (question: ModelQuestion, signal: AbortSignal) => Promise<ModelAnswer>;

export class ClusterModelPlanner implements Planner {
  readonly kind = "model";
  readonly model: string;
  /** It costs time of the own machines. */
  readonly tellsCost = false;
  readonly #maxBytes: number;
  readonly #ask: AskModel;

  constructor({ model, answer_max_bytes: maxBytes }: Pick<ModelSettings, "model" | "answer_max_bytes">, ask: AskModel) {
    this.model = model;
    this.#maxBytes = maxBytes;
    this.#ask = ask;
  }

  async plan({ messages, schema, maxOutputTokens }: PlanRequest, signal: AbortSignal): Promise<PlannerReply> {
    signal.throwIfAborted();
    const text = messages.map(({ content }) => content).join("\n\n");
    const answer = { schema: schema as AskedAnswer["schema"], maxTokens: maxOutputTokens };
    try {
      return this.#replyOf(await this.#ask({ model: this.model, text, answer }, signal));
    } catch (error) {
      signal.throwIfAborted();
      return { kind: "failed", failure: "rejected", message: messageOf(error) };
    }
  }

  #replyOf(answer: ModelAnswer): PlannerReply {
    // The same question is answered in the same way: it is not asked again.
    if (answer.kind === "cut") return { kind: "failed", failure: "too-long", message: answer.message };
    const { text, tokens } = answer;
    const usage = tokens === undefined ? undefined : { ...tokens, costUsd: null };
    const bytes = Buffer.byteLength(text);
    if (bytes <= this.#maxBytes) return { kind: "answered", text, usage };
    const message = `expected ${this.#maxBytes} bytes at most, found ${bytes}`;
    return { kind: "failed", failure: "too-long", message, ...(usage !== undefined && { usage }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Each call ends its run.
  }
}
