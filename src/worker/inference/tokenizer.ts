/** The one door to the tokenizers of Hugging Face: the package's types lead to files that a compiler of today does not look for. */
import type { Fault } from "../../contract/errors.ts";
import { field } from "../../contract/schema-faults.ts";
import * as tokenizers from "@huggingface/tokenizers";

/** What is used of a tokenizer. */
export interface Tokenizer {
  encode(
    text: string,
    options: { readonly add_special_tokens: boolean; readonly return_token_type_ids: true },
  ): { readonly ids: readonly number[]; readonly token_type_ids?: readonly number[] };
  token_to_id(token: string): number | undefined;
}

const { Tokenizer: Tokenizers } = tokenizers as unknown as {
  readonly Tokenizer: new (file: object, config: object) => Tokenizer;
};

/** Of the parsed `tokenizer.json` and `tokenizer_config.json`. */
export function createTokenizer(file: object, config: object): Tokenizer {
  const tokenizer = new Tokenizers(file, config);
  return field(field(file, "model"), "type") === "WordLevel" ? new WordTokenizer(tokenizer, file) : tokenizer;
}

/** A vocabulary of whole words. The package gives a word that is not in it no number, where there is one for such words. */
class WordTokenizer implements Tokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #unknownId: number | undefined;

  constructor(tokenizer: Tokenizer, file: object) {
    this.#tokenizer = tokenizer;
    const unknown = field(field(file, "model"), "unk_token");
    this.#unknownId = typeof unknown === "string" ? tokenizer.token_to_id(unknown) : undefined;
  }

  /** @throws TypeError for a word that is not in the vocabulary, where that has no token for such words */
  encode(...asked: Parameters<Tokenizer["encode"]>): ReturnType<Tokenizer["encode"]> {
    const encoded = this.#tokenizer.encode(...asked);
    const ids: readonly (number | undefined)[] = encoded.ids;
    return { ...encoded, ids: ids.map((id) => id ?? this.#unknown()) };
  }

  token_to_id(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }

  #unknown(): number {
    if (this.#unknownId !== undefined) return this.#unknownId;
    throw new TypeError(
      "expected words of the tokenizer's vocabulary, which has no token for others (model.unk_token), found another word",
    );
  }
}

/** The largest number that a token of this `tokenizer.json` has. */
export function largestId(tokenizer: object): number {
  const vocabulary = field(field(tokenizer, "model"), "vocab");
  const added = field(tokenizer, "added_tokens");
  const ids = [
    // A list has tokens by their numbers, a mapping has the numbers of tokens.
    Array.isArray(vocabulary) ? vocabulary.length - 1 : Object.values(vocabulary ?? {}).reduce<number>(larger, 0),
    ...(Array.isArray(added) ? added.map((token) => field(token, "id")) : []),
  ];
  return ids.reduce<number>(larger, 0);
}

function larger(most: number, id: unknown): number {
  return typeof id === "number" && id > most ? id : most;
}

/** What a model is told that does not take the last word of a vocabulary: another model's has words that it does not know. */
export function strangestToken(id: number): Fault {
  return {
    where: "input.tokenizer.file",
    expected: "the tokenizer of this model",
    found: `one with the token ${id}, which the model does not take`,
  };
}
