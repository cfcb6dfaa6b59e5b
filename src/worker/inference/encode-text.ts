/** Text through a tokenizer as rows of tensors, padded on the right to the longest row of the batch. */
import type { Fault } from "../../contract/errors.ts";
import type { TextInput } from "../../contract/model-manifest.ts";
import type { Failure } from "../result/outcome.ts";
import { textOf } from "./decode-text.ts";
import type { Encoder, Feed } from "./encoder.ts";
import type { FileContent } from "./input-file.ts";
import type { RowLengths } from "./row-lengths.ts";
import { arrayFor } from "./tensor-array.ts";
import { createTokenizer, largestId, strangestToken, type Tokenizer } from "./tokenizer.ts";

interface Row {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

/** A token is of about so many bytes of text, seldom of more. */
const TOKEN_BYTES = 4;
const noRow: Row = { ids: [], types: [] };

export class TextEncoder implements Encoder {
  readonly rowBytes: number;
  readonly lengths: Pick<RowLengths, "base" | "longest" | "fullBytes">;
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
    this.lengths = {
      base: this.#tokensOf("").ids.length,
      longest: input.max_tokens,
      fullBytes: Math.min(input.max_bytes, input.max_tokens * TOKEN_BYTES),
    };
  }

  begin(): void {
    this.#rows = [];
  }

  add(row: number, content: FileContent): number | Failure {
    const { max_tokens: maxTokens, too_long: tooLong } = this.#input;
    const text = textOf(content, this.#input);
    if (typeof text !== "string") return text;
    const { ids, token_type_ids: types = [] } = this.#tokensOf(text);
    if (ids.length === 0) return { class: "bad-input", message: "expected a text with a token at least, found none" };
    if (ids.length > maxTokens && tooLong === "split") return this.#split(row, text, ids);
    if (ids.length > maxTokens && tooLong === "fail") {
      return { class: "bad-input", message: `expected at most ${maxTokens} tokens, found ${ids.length}` };
    }
    this.#rows[row] = { ids: ids.slice(0, maxTokens), types: types.slice(0, maxTokens) };
    return 1;
  }

  #tokensOf(text: string) {
    const { special_tokens: hasSpecial } = this.#input;
    return this.#tokenizer.encode(text, { add_special_tokens: hasSpecial, return_token_type_ids: true });
  }

  /** Parts of a long text, each between the special tokens that stand around the whole of it. */
  #split(row: number, text: string, whole: readonly number[]): number | Failure {
    const { max_tokens: maxTokens, split } = this.#input;
    const bare = this.#tokenizer.encode(text, { add_special_tokens: false, return_token_type_ids: true }).ids;
    const around = aroundOf(whole, bare);
    const length = maxTokens - around.before.length - around.after.length;
    const step = length - split.overlap_tokens;
    if (step < 1) {
      const message = `expected parts of more than ${split.overlap_tokens} tokens, found ${Math.max(0, length)} in max_tokens beside the special ones`;
      return { class: "bad-input", message };
    }
    const parts = Math.ceil((bare.length - split.overlap_tokens) / step);
    if (parts > split.max_parts) {
      const message = `expected a text of at most ${split.max_parts} parts of ${length} tokens, found ${parts}`;
      return { class: "bad-input", message };
    }
    for (let part = 0; part < parts; part += 1) {
      const ids = [...around.before, ...bare.slice(part * step, part * step + length), ...around.after];
      this.#rows[row + part] = { ids, types: ids.map(() => 0) };
    }
    return parts;
  }

  addLargest(row: number): void {
    const { max_tokens: length, pad_id: id } = this.#input;
    this.#rows[row] = { ids: new Array<number>(length).fill(id), types: new Array<number>(length).fill(0) };
  }

  addStrangest(row: number): Fault {
    this.#rows[row] = { ids: [this.#largestId], types: [0] };
    return strangestToken(this.#largestId);
  }

  filled(row: number): number {
    return this.#rows[row]?.ids.length ?? 0;
  }

  feeds(rows: number, from = 0): Record<string, Feed> {
    const { ids, mask, types } = this.#input.tensors;
    const all = Array.from({ length: rows }, (_, row) => this.#rows[from + row] ?? noRow);
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

/** The special tokens that a tokenizer puts before and behind a text. */
function aroundOf(
  whole: readonly number[],
  bare: readonly number[],
): { before: readonly number[]; after: readonly number[] } {
  const added = Math.max(0, whole.length - bare.length);
  for (let before = 0; before <= added; before += 1) {
    if (bare.every((id, at) => whole[before + at] === id)) {
      return { before: whole.slice(0, before), after: whole.slice(before + bare.length) };
    }
  }
  return { before: [], after: [] };
}
