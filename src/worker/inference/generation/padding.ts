/**
 * How rows of unequal length share one batch, in the two ways that exports know.
 *
 * `left` (plain exports, with `position_ids`): a row's tokens lie at the right edge; holes may be anywhere in the cache,
 * for the mask covers them and positions are told. Rows may take any number of tokens in a run.
 *
 * `right` (grouped-query exports): a row's tokens lie at the left edge, and the sum of its mask says how long it is. After
 * the prompt, a batch takes one token per row and run: the fused operator knows no other.
 */
import { int64s, type Tensors } from "./session.ts";

export interface Padding {
  /** Tokens of one row that may go in with one run. */
  readonly maxNewTokens: number;
  /** The inputs for these new tokens (one list for each row) beside the cache. */
  feeds(fresh: readonly (readonly number[])[]): Tensors;
  /** Where the logits of a row's last new token stand, of so many positions. */
  lastPosition(row: number, positions: number): number;
}

export class LeftPadding implements Padding {
  readonly maxNewTokens = Number.POSITIVE_INFINITY;
  readonly #padToken: number;
  readonly #lengths: number[];
  #mask: BigInt64Array[];

  constructor(rows: number, padToken: number) {
    this.#padToken = padToken;
    this.#lengths = new Array<number>(rows).fill(0);
    this.#mask = Array.from({ length: rows }, () => new BigInt64Array(0));
  }

  feeds(fresh: readonly (readonly number[])[]): Tensors {
    const rows = fresh.length;
    const width = Math.max(1, ...fresh.map(({ length }) => length));
    const before = this.#mask[0]?.length ?? 0;
    const ids = new BigInt64Array(rows * width).fill(BigInt(this.#padToken));
    const positions = new BigInt64Array(rows * width);
    const mask = new BigInt64Array(rows * (before + width));
    for (const [row, tokens] of fresh.entries()) {
      const from = width - tokens.length;
      const length = this.#lengths[row] ?? 0;
      const line = mask.subarray(row * (before + width), (row + 1) * (before + width));
      line.set(this.#mask[row] ?? []);
      for (const [index, token] of tokens.entries()) {
        const at = row * width + from + index;
        ids[at] = BigInt(token);
        positions[at] = BigInt(length + index);
        line[before + from + index] = 1n;
      }
      this.#lengths[row] = length + tokens.length;
    }
    this.#mask = fresh.map((_, row) => mask.subarray(row * (before + width), (row + 1) * (before + width)));
    const dims = [rows, width];
    return {
      input_ids: { type: "int64", data: ids, dims },
      attention_mask: { type: "int64", data: mask, dims: [rows, before + width] },
      position_ids: { type: "int64", data: positions, dims },
    };
  }

  lastPosition(_row: number, positions: number): number {
    return positions - 1;
  }
}

export class RightPadding implements Padding {
  readonly #padToken: number;
  readonly #lengths: number[];
  #lastCounts: readonly number[] = [];
  #width = 0;

  constructor(rows: number, padToken: number) {
    this.#padToken = padToken;
    this.#lengths = new Array<number>(rows).fill(0);
  }

  get maxNewTokens(): number {
    return this.#width === 0 || this.#lengths.length === 1 ? Number.POSITIVE_INFINITY : 1;
  }

  feeds(fresh: readonly (readonly number[])[]): Tensors {
    const rows = fresh.length;
    const width = Math.max(1, ...fresh.map(({ length }) => length));
    this.#width += width;
    const ids = fresh.flatMap((tokens) => [
      ...tokens,
      ...new Array<number>(width - tokens.length).fill(this.#padToken),
    ]);
    for (const [row, tokens] of fresh.entries()) this.#lengths[row] = (this.#lengths[row] ?? 0) + tokens.length;
    this.#lastCounts = fresh.map(({ length }) => length);
    // A row that has ended gets a padding token all the same; counted, it stays behind what it has.
    const lengths = this.#lengths.map((length, row) =>
      Math.min(this.#width, length + (fresh[row]?.length === 0 ? 1 : 0)),
    );
    const mask = lengths.flatMap((length) => Array.from({ length: this.#width }, (_, at) => (at < length ? 1 : 0)));
    return {
      input_ids: int64s(ids, [rows, width]),
      attention_mask: int64s(mask, [rows, this.#width]),
    };
  }

  lastPosition(row: number): number {
    return Math.max(0, (this.#lastCounts[row] ?? 1) - 1);
  }
}
