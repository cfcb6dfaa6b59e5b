/** Text to tokens and back, and conversations to prompts, by the files that a Hugging Face model brings. */
import { Template } from "@huggingface/jinja";
import { z } from "zod";
import { InvalidInputError } from "../../../contract/errors.ts";
import { createTokenizer, type Tokenizer } from "../tokenizer.ts";
import type { Vocabulary } from "./grammar-constraint.ts";

/** `tokenizer.json`, as far as it is read here; the tokenizer itself reads the rest. */
const tokenizerFile = z.looseObject({
  added_tokens: z
    .array(z.looseObject({ id: z.int(), content: z.string(), special: z.boolean().optional() }))
    .default([]),
  model: z.looseObject({ vocab: z.record(z.string(), z.int()) }),
  decoder: z.looseObject({ type: z.literal("ByteLevel") }),
});

const specialToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]);
const configFile = z.looseObject({
  chat_template: z.string().min(1),
  eos_token: specialToken,
  bos_token: specialToken.optional(),
  pad_token: specialToken.optional(),
});

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

function parseFile<T>(schema: z.ZodType<T>, text: string, name: string): T {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw new InvalidInputError(name, [{ where: name, expected: "JSON", found: `${text.slice(0, 40)}…` }], { cause });
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => ({
    where: path.join("."),
    expected: message,
    found: "",
  }));
  throw new InvalidInputError(name, faults);
}

/** The bytes that GPT-2's alphabet of printable characters stands for. */
function byteLevelAlphabet(): ReadonlyMap<string, number> {
  const isPrintable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let others = 0;
  const entries = Array.from({ length: 256 }, (_, byte) => {
    const code = isPrintable(byte) ? byte : 256 + others++;
    return [String.fromCharCode(code), byte] as const;
  });
  return new Map(entries);
}

const alphabet = byteLevelAlphabet();

function bytesOf(token: string): Uint8Array {
  return Uint8Array.from(Array.from(token, (character) => alphabet.get(character) ?? Number.NaN));
}

export class TextCodec {
  readonly vocabulary: Vocabulary;
  readonly padToken: number;
  readonly #tokenizer: Tokenizer;
  readonly #template: Template;
  readonly #beginText: string;
  readonly #endText: string;

  /** @throws InvalidInputError for a tokenizer that is not of the byte-level kind, or has no chat template */
  constructor(tokenizerJson: string, tokenizerConfigJson: string) {
    const file = parseFile(tokenizerFile, tokenizerJson, "tokenizer.json");
    const config = parseFile(configFile, tokenizerConfigJson, "tokenizer_config.json");
    this.#tokenizer = createTokenizer(JSON.parse(tokenizerJson) as object, JSON.parse(tokenizerConfigJson) as object);
    this.#template = new Template(config.chat_template);
    this.#beginText = config.bos_token ?? "";
    this.#endText = config.eos_token;
    const endToken = this.#token(config.eos_token, "eos_token");
    this.padToken = config.pad_token === undefined ? endToken : this.#token(config.pad_token, "pad_token");
    this.vocabulary = { tokenBytes: tokenBytesOf(file), endToken };
  }

  /** The prompt of a conversation that the model is to go on with. */
  prompt(messages: readonly Message[]): string {
    return this.#template.render({
      messages,
      add_generation_prompt: true,
      bos_token: this.#beginText,
      eos_token: this.#endText,
    });
  }

  encode(text: string): readonly number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: false, return_token_type_ids: true }).ids;
  }

  /** The text of an answer. @throws TypeError when the tokens are not whole characters */
  decode(tokens: readonly number[]): string {
    const parts = tokens.map((token) => this.vocabulary.tokenBytes[token] ?? new Uint8Array(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts));
  }

  #token(text: string, where: string): number {
    const token = this.#tokenizer.token_to_id(text);
    if (token !== undefined) return token;
    throw new InvalidInputError("tokenizer_config.json", [
      { where, expected: "a token of the vocabulary", found: text },
    ]);
  }
}

function tokenBytesOf({ model, added_tokens: added }: z.output<typeof tokenizerFile>): (Uint8Array | undefined)[] {
  const special = new Set(added.map(({ content }) => content));
  const tokenBytes: (Uint8Array | undefined)[] = [];
  for (const [token, id] of Object.entries(model.vocab))
    tokenBytes[id] = special.has(token) ? undefined : bytesOf(token);
  return tokenBytes;
}
