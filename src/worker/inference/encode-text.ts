/** Text through a tokenizer as rows of tensors, padded on the right to the longest row of the batch. */
import type { TextInput } from "../../contract/model-manifest.ts";
import type { Failure } from "../result/outcome.ts";
import { decodeText, wholeCharacters } from "./decode-text.ts";
import type { Encoder, Feed, StrangeRow } from "./encoder.ts";
import type { FileContent } from "./input-file.ts";
import { arrayFor } from "./tensor-array.ts";
import { createTokenizer, largestId, type Tokenizer } from "./tokenizer.ts";

interface Row {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

const noRow: Row = { ids: [], types: [] };

export class TextEncoder implements Encoder {
  readonly rowBytes: number;
  readonly #input: TextInput;
  readonly #typeOf: (tensor: string) => string;
  readonly #tokenizer: Tokenizer;
  readonly #largestId: number;
  #rows: Row[] = [];

  /** `files`: the parsed `tokenizer.json`, and its configuration. */
  constructor(input: TextInput, files: { tokenizer: object; config: object }, typeOf: (tensor: string) => string) {
    this.#input = input;
    this.#typeOf = typeOf;
    this.#tokenizer = createTokenizer(files.tokenizer, files.config);
    this.#largestId = largestId(files.tokenizer);
    const tensors = Object.values(input.tensors)
      .filter((tensor) => tensor !== undefined)
      .map((tensor) => arrayFor(typeOf(tensor), 0).bytesPerValue);
    this.rowBytes = input.max_tokens * tensors.reduce((sum, bytes) => sum + bytes, 0);
  }

  begin(): void {
    this.#rows = [];
  }

  add(row: number, content: FileContent): Failure | null {
    const { max_bytes: maxBytes, max_tokens: maxTokens, too_long: tooLong } = this.#input;
    if (content.bytes > maxBytes && tooLong === "fail") {
      return { class: "bad-input", message: `expected a file of at most ${maxBytes} bytes, found ${content.bytes}` };
    }
    const part = content.slice(0, Math.min(content.bytes, maxBytes));
    const text = decodeText(content.bytes > maxBytes ? wholeCharacters(part) : part);
    if (text === undefined) {
      return { class: "bad-input", message: "expected a text in UTF-8, found bytes that are not UTF-8" };
    }
    const { ids, token_type_ids: types = [] } = this.#tokenizer.encode(text, {
      add_special_tokens: this.#input.special_tokens,
      return_token_type_ids: true,
    });
    if (ids.length === 0) return { class: "bad-input", message: "expected a text with a token at least, found none" };
    if (ids.length > maxTokens && tooLong === "fail") {
      return { class: "bad-input", message: `expected at most ${maxTokens} tokens, found ${ids.length}` };
    }
    this.#rows[row] = { ids: ids.slice(0, maxTokens), types: types.slice(0, maxTokens) };
    return null;
  }

  /** The last word of the tokenizer's vocabulary: another model's has words of which this one knows nothing. */
  addStrangest(row: number): StrangeRow {
    this.#rows[row] = { ids: [this.#largestId], types: [0] };
    return {
      where: "input.tokenizer.file",
      expected: "the tokenizer of this model",
      found: `one with the token ${this.#largestId}, which the model does not take`,
    };
  }

  filled(row: number): number {
    return this.#rows[row]?.ids.length ?? 0;
  }

  feeds(rows: number): Record<string, Feed> {
    const { ids, mask, types } = this.#input.tensors;
    const all = Array.from({ length: rows }, (_, row) => this.#rows[row] ?? noRow);
    const width = Math.max(1, ...all.map((row) => row.ids.length));
    const feeds: Record<string, Feed> = {};
    const lay = (tensor: string, pad: number, valuesOf: (row: Row) => readonly number[]) => {
      const type = this.#typeOf(tensor);
      const values = arrayFor(type, rows * width);
      if (pad !== 0) values.fill(pad, 0, rows * width);
      for (const [at, row] of all.entries()) {
        for (const [column, value] of valuesOf(row).entries()) values.set(at * width + column, value);
      }
      feeds[tensor] = { type, data: values.first(rows * width), dims: [rows, width] };
    };
    lay(ids, this.#input.pad_id, (row) => row.ids);
    if (mask !== undefined) lay(mask, 0, (row) => row.ids.map(() => 1));
    if (types !== undefined) lay(types, 0, (row) => row.types);
    return feeds;
  }
}
