/** The one door to the tokenizers of Hugging Face: the package's types lead to files that a compiler of today does not look for. */
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
  return new Tokenizers(file, config);
}
