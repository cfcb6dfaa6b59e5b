/**
 * How many files the next batch of each length may have: what is quickest, as measured for that length, within what memory
 * has taken of it and the tokens that a batch may have. What failed for short rows is not tried with longer ones.
 */
import { RowCeiling, RowTuner } from "./batch-size.ts";
import type { Loaded } from "./engine-protocol.ts";
import { bucketOf, LONGEST, longestOf, rowsWithin, type RowLengths } from "./row-lengths.ts";

interface Bucket {
  ceiling: RowCeiling;
  readonly tuner: RowTuner;
  /** Tokens of the longest row that was seen. */
  longest: number | undefined;
}

export interface BatchCost {
  readonly files: number;
  readonly rows: number;
  /** Some of its rows went through the model after others: what it took says nothing of its size. */
  readonly hasTurns: boolean;
  readonly costMs: number;
  /** Tokens of its longest row, where rows differ. */
  readonly longest: number | undefined;
}

/** Files that a batch may have, of those of up to so many bytes. */
export interface Ceiling {
  readonly upToBytes: number;
  readonly rows: number;
}

type Fit = Pick<Loaded, "mostRows" | "warmRows" | "lengths">;

export class BatchPlan {
  readonly #buckets = new Map<number, Bucket>();
  #fit: Fit = { mostRows: 1, warmRows: 1, lengths: undefined };
  #isShort = false;

  /** The model was loaded, and warmed up with as many rows as did; `wanted` of them at most. What memory has shown stays. */
  loaded(fit: Fit, wanted = fit.mostRows): void {
    this.#fit = fit;
    this.#isShort = fit.warmRows < Math.min(fit.mostRows, wanted);
    for (const [key, bucket] of this.#buckets) {
      const known = Math.min(bucket.ceiling.rows, this.#startOf(key));
      if (known !== bucket.ceiling.rows) bucket.ceiling = new RowCeiling(this.#maxRows, known);
    }
    this.#bucket(LONGEST);
  }

  bucketOf(bytes: number): number {
    return bucketOf(this.#lengths, bytes);
  }

  /** Rows of the next batch of a bucket, of `fixed` at most where no best is looked for. */
  rows(key: number, fixed?: number): number {
    const most = this.#most(key);
    return Math.min(most, fixed ?? this.#bucket(key).tuner.next(most));
  }

  succeeded(key: number, { files, rows, hasTurns, costMs, longest }: BatchCost): void {
    const bucket = this.#bucket(key);
    bucket.tuner.observe({ files, rows: hasTurns ? 0 : rows }, costMs);
    if (rows === 0) return;
    bucket.ceiling.succeeded(rows);
    if (longest !== undefined) bucket.longest = Math.max(bucket.longest ?? 0, longest);
  }

  /** Memory did not do for a batch of so many. */
  failed(key: number, rows: number): void {
    this.#bucket(key).ceiling.failed(rows);
    for (const [other, { ceiling }] of this.#buckets) {
      if (other > key && ceiling.rows >= rows) ceiling.failed(rows);
    }
  }

  /** Of all lengths that there were, the shortest first. */
  get ceilings(): Ceiling[] {
    const keys = [...this.#buckets.keys()].sort((a, b) => a - b);
    return keys.map((upToBytes) => ({ upToBytes, rows: this.#most(upToBytes) }));
  }

  get #lengths(): RowLengths | undefined {
    return this.#fit.lengths;
  }

  get #maxRows(): number {
    return this.#lengths?.maxRows ?? this.#fit.mostRows;
  }

  #most(key: number): number {
    const { ceiling, longest } = this.#bucket(key);
    const lengths = this.#lengths;
    if (lengths === undefined) return ceiling.rows;
    return Math.min(ceiling.rows, rowsWithin(lengths, longest ?? longestOf(lengths, key)));
  }

  /** Rows that do before any was tried: as many tokens as the warm-up had, where it had fewer than wanted. */
  #startOf(key: number): number {
    const lengths = this.#lengths;
    const { warmRows } = this.#fit;
    if (!this.#isShort) return this.#maxRows;
    if (lengths === undefined) return warmRows;
    return Math.min(this.#maxRows, Math.floor((warmRows * lengths.longest) / longestOf(lengths, key)));
  }

  #bucket(key: number): Bucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    const shorter = [...this.#buckets].flatMap(([other, { ceiling }]) =>
      other < key && ceiling.hasFailed ? [ceiling.rows] : [],
    );
    const ceiling = new RowCeiling(this.#maxRows, Math.min(this.#startOf(key), ...shorter));
    const bucket = { ceiling, tuner: new RowTuner(), longest: undefined };
    this.#buckets.set(key, bucket);
    return bucket;
  }
}
