/** One JSON answer for each text: prompt, constrained decoding, and a last check of every answer against the schema. */
import Ajv, { type ValidateFunction } from "ajv";
import type { z } from "zod";
import { listAnswers, longestAnswerBytes } from "../../../contract/answer-list.ts";
import { parseAnswerSchema } from "../../../contract/answer-schema.ts";
import { InvalidInputError } from "../../../contract/errors.ts";
import type { JsonSchema } from "../../../contract/json-schema.ts";
import { AnswerGrammar } from "./answer-grammar.ts";
import type { Constraint } from "./constraint.ts";
import { decodeBatch, type DecodedBatch, type DecoderShape } from "./decode.ts";
import { GrammarConstraint } from "./grammar-constraint.ts";
import { decodeInGraph, isLoopModel } from "./in-graph.ts";
import { messagesFor, type PromptTemplate } from "./prompt-template.ts";
import { InvalidAnswerError, type GenerationSession } from "./session.ts";
import type { TextCodec } from "./text-codec.ts";
import { TokenTrie } from "./token-trie.ts";

/** More answers than that are not listed, but written by grammar. */
const MAX_LISTED_ANSWERS = 5_000;

export interface GeneratorParts {
  readonly session: GenerationSession;
  readonly codec: TextCodec;
  readonly shape: Omit<DecoderShape, "padToken">;
  readonly prompt: PromptTemplate;
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

export class Generator {
  /** How answers are held to the schema. */
  readonly method: "trie" | "grammar";
  readonly #parts: GeneratorParts;
  readonly #constraint: Constraint;
  readonly #validate: ValidateFunction;
  readonly #maxPromptTokens: number;
  /** Tokens of an answer at most. */
  readonly answerTokens: number;

  /** @throws InvalidInputError for a schema that is not bounded, or whose longest answer does not fit the model */
  constructor(parts: GeneratorParts) {
    const { codec, schema } = parts;
    const shape = parseAnswerSchema(schema);
    const answers = listAnswers(shape, MAX_LISTED_ANSWERS);
    this.#parts = parts;
    this.method = answers === undefined ? "grammar" : "trie";
    const { endToken } = codec.vocabulary;
    this.#constraint =
      answers === undefined
        ? new GrammarConstraint(new AnswerGrammar(shape), codec.vocabulary)
        : new TokenTrie(
            answers.map((answer) => codec.encode(answer)),
            endToken,
          );
    this.answerTokens = longestAnswerBytes(shape);
    this.#maxPromptTokens = parts.contextTokens - this.answerTokens;
    if (this.#maxPromptTokens < 1) {
      const expected = `answers of less than ${parts.contextTokens} bytes: the model sees ${parts.contextTokens} tokens`;
      const found = `up to ${this.answerTokens} bytes`;
      throw new InvalidInputError("the schema of the answers", [{ where: "schema", expected, found }]);
    }
    const { $schema: _, ...rules } = schema;
    // The schema itself was checked above, by rules that are narrower.
    this.#validate = new Ajv({ validateSchema: false }).compile(rules);
  }

  /** The tokens of the prompt for one text. @throws InvalidInputError when they do not fit the model beside the answer */
  promptOf(text: string): readonly number[] {
    const { codec, prompt } = this.#parts;
    const tokens = codec.encode(codec.prompt(messagesFor(prompt, text)));
    if (tokens.length <= this.#maxPromptTokens) return tokens;
    const expected = `${this.#maxPromptTokens} tokens at most, so that the longest answer fits behind it`;
    throw new InvalidInputError("the prompt", [{ where: "prompt", expected, found: `${tokens.length} tokens` }]);
  }

  /** As long as one with a token for each character that is shown, which is as dense as digits and symbols are. */
  longestPrompt(): readonly number[] {
    const { codec, prompt } = this.#parts;
    const around = this.promptOf("");
    const shown = Math.min(prompt.max_chars, this.#maxPromptTokens - around.length);
    return [...around, ...new Array<number>(shown).fill(codec.padToken)];
  }

  /** One answer for each prompt, in their order. @throws {InvalidAnswerError} */
  async answer(prompts: readonly (readonly number[])[]): Promise<readonly GeneratedAnswer[]> {
    if (prompts.length === 0) return [];
    const { answers } = await this.#decode(prompts);
    return answers.map(({ tokens, logProbability }) => {
      const text = this.#parts.codec.decode(tokens);
      return { text, tokens: tokens.length, value: this.#checked(text), confidence: Math.exp(logProbability) };
    });
  }

  #decode(prompts: readonly (readonly number[])[]): Promise<DecodedBatch> {
    const { session, codec } = this.#parts;
    const shape = { ...this.#parts.shape, padToken: codec.padToken };
    const constraint = this.#constraint;
    if (!isLoopModel(session)) return decodeBatch(prompts, { session, shape, constraint });
    if (constraint instanceof TokenTrie) {
      return decodeInGraph(prompts, { session, trie: constraint, ...codec.vocabulary, padToken: codec.padToken });
    }
    const expected = `a schema with ${MAX_LISTED_ANSWERS} answers at most: this model walks a list of them by itself`;
    throw new InvalidInputError("the schema of the answers", [{ where: "schema", expected, found: "more" }]);
  }

  #checked(text: string): z.core.util.JSONType {
    const value = JSON.parse(text) as z.core.util.JSONType;
    if (this.#validate(value) === true) return value;
    const [fault] = this.#validate.errors ?? [];
    throw new InvalidAnswerError(
      `answer ${text}: ${fault?.dataPath ?? ""} ${fault?.message ?? "does not fit the schema"}`,
    );
  }
}
