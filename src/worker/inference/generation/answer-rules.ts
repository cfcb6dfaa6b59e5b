/** A schema of answers, ready to be held to: what may follow where, how long an answer may be, and a last check of it. */
import Ajv, { type ValidateFunction } from "ajv";
import type { z } from "zod";
import { listAnswers, longestAnswerBytes } from "../../../contract/answer-list.ts";
import { parseAnswerSchema } from "../../../contract/answer-schema.ts";
import type { JsonSchema } from "../../../contract/json-schema.ts";
import { AnswerGrammar } from "./answer-grammar.ts";
import type { Constraint } from "./constraint.ts";
import { GrammarConstraint } from "./grammar-constraint.ts";
import { InvalidAnswerError } from "./session.ts";
import type { TextCodec } from "./text-codec.ts";
import { TokenTrie } from "./token-trie.ts";

/** More answers than that are not listed, but written by grammar. */
export const MAX_LISTED_ANSWERS = 5_000;
/** Nor more text than that: it is read token by token before anybody asks whether an answer fits the model. */
const MAX_LISTED_BYTES = 4_194_304;

export class AnswerRules {
  /** How answers are held to the schema. */
  readonly method: "trie" | "grammar";
  readonly constraint: Constraint;
  /** Bytes of the longest answer, or more: so many tokens do for any. */
  readonly longestBytes: number;
  readonly #validate: ValidateFunction;

  /** @throws {InvalidInputError} for a schema that is not bounded */
  constructor(schema: JsonSchema, codec: TextCodec) {
    const shape = parseAnswerSchema(schema);
    this.longestBytes = longestAnswerBytes(shape);
    const answers = listAnswers(shape, Math.min(MAX_LISTED_ANSWERS, Math.floor(MAX_LISTED_BYTES / this.longestBytes)));
    this.method = answers === undefined ? "grammar" : "trie";
    this.constraint =
      answers === undefined
        ? new GrammarConstraint(new AnswerGrammar(shape), codec.vocabulary)
        : new TokenTrie(
            answers.map((answer) => codec.encode(answer)),
            codec.vocabulary.endToken,
          );
    // The schema itself was checked above, by rules that are narrower; what is said about it is for nobody.
    this.#validate = new Ajv({ validateSchema: false, logger: false }).compile(asDraft7(schema));
  }

  /** The value of an answer as it was written. @throws {InvalidAnswerError} when it is not valid all the same */
  checked(text: string): z.core.util.JSONType {
    const value = JSON.parse(text) as z.core.util.JSONType;
    if (this.#validate(value) === true) return value;
    const [fault] = this.#validate.errors ?? [];
    throw new InvalidAnswerError(
      `answer ${text}: ${fault?.dataPath ?? ""} ${fault?.message ?? "does not fit the schema"}`,
    );
  }
}

/**
 * Ajv knows lists whose first items have schemas of their own as the draft before wrote them. Names of schemas, by which
 * references would be looked up elsewhere, are left out.
 */
function asDraft7(schema: JsonSchema): JsonSchema {
  const { $schema: _draft, $id: _name, prefixItems, items, properties, anyOf, $defs, ...rest } = schema;
  const each = (schemas: object) =>
    Object.fromEntries(Object.entries(schemas).map(([name, one]) => [name, asDraft7(one as JsonSchema)]));
  const others = items === undefined ? undefined : asDraft7(items);
  return {
    ...rest,
    ...(Array.isArray(prefixItems)
      ? { items: prefixItems.map((one) => asDraft7(one as JsonSchema)), additionalItems: others }
      : others !== undefined && { items: others }),
    ...(properties !== undefined && { properties: each(properties) }),
    ...(anyOf !== undefined && { anyOf: anyOf.map(asDraft7) }),
    ...($defs !== undefined && { $defs: each($defs as object) }),
  } as JsonSchema;
}
