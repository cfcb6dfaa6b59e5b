/**
 * How long the rows of a model may be, and which files go together by it. A file's bytes say about how many tokens it has
 * before it is read, and are still known when the process that read it has died: so lengths are told by bytes, in powers
 * of two. Pure.
 */

/** Of models whose rows differ in length; the shorter ones of a batch are padded. */
export interface RowLengths {
  /** Tokens of a row beside those of its text. */
  readonly base: number;
  /** Tokens of the longest row. */
  readonly longest: number;
  /** Files of so many bytes and more are taken for the longest. */
  readonly fullBytes: number;
  /** Rows of a batch at most, of whatever length. */
  readonly maxRows: number;
  /** Tokens of a batch at most, padding included; a row alone may be longer. */
  readonly maxTokens: number;
}

/** Shorter files are not told apart: what a call costs outweighs their padding. */
const SMALLEST_BYTES = 128;
/** Of the longest rows, and of all where rows do not differ. */
export const LONGEST = Infinity;

/** The bytes up to which the files of a bucket have, of the bucket of a file of so many bytes. */
export function bucketOf(lengths: RowLengths | undefined, bytes: number): number {
  if (lengths === undefined) return LONGEST;
  const upTo = Math.max(SMALLEST_BYTES, powerOfTwo(bytes));
  return upTo < powerOfTwo(lengths.fullBytes) ? upTo : LONGEST;
}

/** Tokens of a row of a bucket at most: no token is of less than a byte. */
export function longestOf({ base, longest }: RowLengths, bucket: number): number {
  return Math.min(longest, base + bucket);
}

/** Rows of so many tokens that a batch may have. */
export function rowsWithin({ maxRows, maxTokens }: RowLengths, tokens: number): number {
  return Math.max(1, Math.min(maxRows, Math.floor(maxTokens / Math.max(1, tokens))));
}

export interface Turn {
  readonly from: number;
  readonly count: number;
}

/**
 * Which rows go through the model at once, in their order: `most` at most, and no more tokens than a batch may have, with
 * what the shorter ones are padded by; one at least. `tokens` is what each row has.
 */
export function turnsOf(
  tokens: readonly number[],
  { most, maxTokens }: { readonly most: number; readonly maxTokens: number },
): Turn[] {
  const turns: Turn[] = [];
  let longest = 0;
  let from = 0;
  for (const [row, own] of tokens.entries()) {
    const widest = Math.max(longest, own);
    const count = row - from;
    if (count > 0 && (count >= most || widest * (count + 1) > maxTokens)) {
      turns.push({ from, count });
      [from, longest] = [row, own];
    } else longest = widest;
  }
  return tokens.length > from ? [...turns, { from, count: tokens.length - from }] : turns;
}

/** The power of two that is not below. */
function powerOfTwo(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, bytes)));
}
