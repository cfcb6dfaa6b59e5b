/** One JSON answer for each text: prompt, constrained decoding, and a last check of every answer against the schema. */
import { hash } from "node:crypto";
import type { z } from "zod";
import { InvalidInputError } from "../../../contract/errors.ts";
import type { JsonSchema } from "../../../contract/json-schema.ts";
import type { AskedAnswer } from "../../../contract/run-spec.ts";
import { AnswerRules, MAX_LISTED_ANSWERS } from "./answer-rules.ts";
import { decodeBatch, type DecodedAnswer, type DecoderShape } from "./decode.ts";
import { decodeInGraph, isLoopModel } from "./in-graph.ts";
import { messagesFor, type PromptTemplate } from "./prompt-template.ts";
import type { GenerationSession } from "./session.ts";
import type { TextCodec } from "./text-codec.ts";
import { TokenTrie } from "./token-trie.ts";

/** Schemas of requests whose rules are kept: those that were used last. */
const MAX_KEPT_RULES = 32;

export interface GeneratorParts {
  readonly session: GenerationSession;
  readonly codec: TextCodec;
  readonly shape: Omit<DecoderShape, "padToken">;
  readonly prompt: PromptTemplate;
  /** Of answers for which no other is asked. */
  readonly schema: JsonSchema;
  /** Tokens that the model can see at a time: prompt and answer together. */
  readonly contextTokens: number;
}

export interface GeneratedAnswer {
  /** Valid against the schema. */
  readonly value: z.core.util.JSONType;
  /** The same as the model wrote it. */
  readonly text: string;
  /** How many tokens that is. */
  readonly tokens: number;
  /** The answer's probability, each choice among what the schema would have let follow: 0 to 1. */
  readonly confidence: number;
}

/** An answer that was not whole after so many tokens. */
export interface CutAnswer {
  readonly cutAfter: number;
}

/** How one answer is to be. */
export interface AnswerWish {
  readonly rules: AnswerRules;
  /** It is cut off after so many tokens; without it there is always room for the longest. */
  readonly maxTokens?: number;
}

/** One row of a batch. */
export interface PromptRow {
  readonly tokens: readonly number[];
  readonly wish: AnswerWish;
}

export class Generator {
  /** By the schema of the model. */
  readonly own: AnswerWish;
  readonly #parts: GeneratorParts;
  readonly #kept = new Map<string, AnswerRules>();

  /** @throws InvalidInputError for a schema that is not bounded, or whose longest answer does not fit the model */
  constructor(parts: GeneratorParts) {
    this.#parts = parts;
    this.own = { rules: new AnswerRules(parts.schema, parts.codec) };
    this.#requireFit(this.own);
  }

  /** How answers are held to the schema of the model. */
  get method(): "trie" | "grammar" {
    return this.own.rules.method;
  }

  /** Tokens of an answer by the schema of the model at most. */
  get answerTokens(): number {
    return this.own.rules.longestBytes;
  }

  /**
   * The wish for answers by another schema than that of the model. What a schema comes to is kept, by its digest.
   * @throws {InvalidInputError} for a schema that is not bounded, or that does not fit the model
   */
  wishFor({ schema, maxTokens }: AskedAnswer): AnswerWish {
    const key = hash("sha256", JSON.stringify(schema), "hex");
    const rules = this.#kept.get(key) ?? new AnswerRules(schema, this.#parts.codec);
    const wish = { rules, ...(maxTokens !== undefined && { maxTokens }) };
    this.#requireFit(wish);
    this.#kept.delete(key);
    this.#kept.set(key, rules);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT_RULES && oldest !== undefined) this.#kept.delete(oldest);
    return wish;
  }

  /** The tokens of the prompt for one text. @throws InvalidInputError when they do not fit the model beside the answer */
  promptOf(text: string, wish: AnswerWish = this.own): readonly number[] {
    const { codec, prompt } = this.#parts;
    const tokens = codec.encode(codec.prompt(messagesFor(prompt, text)));
    const most = this.#maxPromptTokens(wish);
    if (tokens.length <= most) return tokens;
    const what = wish.maxTokens === undefined ? "the longest answer fits" : "an answer can begin";
    const expected = `${most} tokens at most, so that ${what} behind it`;
    throw new InvalidInputError("the prompt", [{ where: "prompt", expected, found: `${tokens.length} tokens` }]);
  }

  /** Tokens that the answer to a prompt may have. */
  limitOf({ tokens, wish: { rules, maxTokens = Infinity } }: PromptRow): number {
    return Math.min(rules.longestBytes, maxTokens, this.#parts.contextTokens - tokens.length);
  }

  /** As long as one with a token for each character that is shown, which is as dense as digits and symbols are. */
  longestPrompt(): readonly number[] {
    const { codec, prompt } = this.#parts;
    const around = this.promptOf("");
    const shown = Math.min(prompt.max_chars, this.#maxPromptTokens(this.own) - around.length);
    return [...around, ...new Array<number>(shown).fill(codec.padToken)];
  }

  /** One answer by the schema of the model for each prompt, in their order. @throws {InvalidAnswerError} */
  async answer(prompts: readonly (readonly number[])[]): Promise<readonly GeneratedAnswer[]> {
    const answers = await this.answerRows(prompts.map((tokens) => ({ tokens, wish: this.own })));
    return answers.map((answer) => {
      if ("cutAfter" in answer) throw new TypeError("expected room for the longest answer");
      return answer;
    });
  }

  /** One answer for each row, in their order, each by its own schema. @throws {InvalidAnswerError} */
  async answerRows(rows: readonly PromptRow[]): Promise<readonly (GeneratedAnswer | CutAnswer)[]> {
    if (rows.length === 0) return [];
    const decoded = await this.#decode(rows);
    return rows.map((row, at) => {
      const answer = decoded[at];
      if (answer === undefined) throw new TypeError("expected an answer for every row of a batch");
      const { tokens, logProbability, isCut = tokens.length > this.limitOf(row) } = answer;
      if (isCut) return { cutAfter: this.limitOf(row) };
      const text = this.#parts.codec.decode(tokens);
      return {
        text,
        tokens: tokens.length,
        value: row.wish.rules.checked(text),
        confidence: Math.exp(logProbability),
      };
    });
  }

  async #decode(rows: readonly PromptRow[]): Promise<readonly DecodedAnswer[]> {
    const { session, codec } = this.#parts;
    const prompts = rows.map(({ tokens }) => tokens);
    if (isLoopModel(session)) return this.#decodeInGraph(rows);
    const shape = { ...this.#parts.shape, padToken: codec.padToken };
    const each = rows.map((row) => ({ constraint: row.wish.rules.constraint, maxTokens: this.limitOf(row) }));
    return (await decodeBatch(prompts, { session, shape, constraint: this.own.rules.constraint, each })).answers;
  }

  /** Such a model takes the tables of one schema: rows of one go together. */
  async #decodeInGraph(rows: readonly PromptRow[]): Promise<readonly DecodedAnswer[]> {
    const { session, codec } = this.#parts;
    const answers = new Map<PromptRow, DecodedAnswer>();
    for (const rules of new Set(rows.map(({ wish }) => wish.rules))) {
      const { constraint } = rules;
      if (!(constraint instanceof TokenTrie)) throw new TypeError("expected a schema whose answers are listed");
      const alike = rows.filter(({ wish }) => wish.rules === rules);
      const prompts = alike.map(({ tokens }) => tokens);
      const parts = { session, trie: constraint, ...codec.vocabulary, padToken: codec.padToken };
      const decoded = await decodeInGraph(prompts, parts);
      for (const [at, answer] of decoded.answers.entries()) {
        const row = alike[at];
        if (row !== undefined) answers.set(row, answer);
      }
    }
    return rows.flatMap((row) => answers.get(row) ?? []);
  }

  #requireFit(wish: AnswerWish): void {
    const { session, contextTokens } = this.#parts;
    const fault = (expected: string, found: string) =>
      new InvalidInputError("the schema of the answers", [{ where: "schema", expected, found }]);
    if (isLoopModel(session) && wish.rules.method === "grammar") {
      throw fault(`${MAX_LISTED_ANSWERS} answers at most: this model walks a list of them by itself`, "more");
    }
    if (this.#maxPromptTokens(wish) >= 1) return;
    const expected = `answers of less than ${contextTokens} bytes: the model sees ${contextTokens} tokens`;
    throw fault(expected, `up to ${wish.rules.longestBytes} bytes`);
  }

  #maxPromptTokens({ rules, maxTokens }: AnswerWish): number {
    const { contextTokens, session } = this.#parts;
    // A loop inside of the graph cannot be stopped on its way.
    const isWhole = maxTokens === undefined || isLoopModel(session);
    return contextTokens - (isWhole ? rules.longestBytes : 1);
  }
}
