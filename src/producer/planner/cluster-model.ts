/**
 * A model that the cluster itself runs (task `generate`) as a planner: the question is a file, the answer is the model's
 * JSON. Whether that can be a plan depends on the schema in the model's manifest: one that answers something else is
 * refused by the loop like any other answer.
 */
import { messageOf } from "../../contract/errors.ts";
import type { ModelSettings } from "../../contract/planners.ts";
import type { Planner, PlannerReply, PlanRequest } from "./planner.ts";

/** Runs a model over one text and resolves with what it says; rejects when the run has none. */
export type AskModel = (model: string, question: string, signal: AbortSignal) => Promise<string>;

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

  async plan({ messages }: PlanRequest, signal: AbortSignal): Promise<PlannerReply> {
    signal.throwIfAborted();
    try {
      const text = await this.#ask(this.model, messages.map(({ content }) => content).join("\n\n"), signal);
      const bytes = Buffer.byteLength(text);
      if (bytes <= this.#maxBytes) return { kind: "answered", text, usage: undefined };
      return {
        kind: "failed",
        failure: "too-long",
        message: `expected ${this.#maxBytes} bytes at most, found ${bytes}`,
      };
    } catch (error) {
      signal.throwIfAborted();
      return { kind: "failed", failure: "rejected", message: messageOf(error) };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Each call ends its run.
  }
}
