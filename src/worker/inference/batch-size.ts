/**
 * How many files go into one batch: as many as are quickest per file, as measured, and no more than memory has taken.
 * Pure. On a CPU a small batch is often the best, on a GPU a large one: nobody knows before it was tried.
 */

/** Good batches near the ceiling, before it grows. */
const GOOD_BATCHES = 20;
const GROWTH = 1.1;
/** After so many good batches a size that had failed is tried again: what was in its way may be gone. */
const FORGET_BATCHES = 1_000;

/**
 * The most rows that memory allows: when it did not do, the half, or more where more went well since; growing slowly
 * afterwards, up to below what failed.
 */
export class RowCeiling {
  readonly #most: number;
  #rows: number;
  #good = 0;
  #failedAt = Infinity;
  #sinceFailure = 0;
  /** The most rows of a batch that went well since the last failure. */
  #proven = 0;

  constructor(most: number, known = most) {
    this.#most = most;
    this.#rows = Math.max(1, Math.min(most, known));
  }

  get rows(): number {
    return this.#rows;
  }

  /** Whether some size is not tried for the time being, since memory did not do for it. */
  get hasFailed(): boolean {
    return this.#failedAt < Infinity;
  }

  failed(rows: number): void {
    const proven = this.#proven < rows ? this.#proven : 0;
    this.#rows = Math.min(this.#rows, Math.max(1, proven, Math.floor(rows / 2)));
    this.#proven = 0;
    this.#failedAt = Math.min(this.#failedAt, rows);
    this.#good = 0;
    this.#sinceFailure = 0;
  }

  succeeded(rows: number): void {
    this.#sinceFailure += 1;
    this.#proven = Math.max(this.#proven, rows);
    if (this.#sinceFailure >= FORGET_BATCHES) this.#failedAt = Infinity;
    // The tuner takes powers of two alone: the largest below a ceiling of 70 is 64.
    if (rows * 2 <= this.#rows || this.#rows >= this.#most) return;
    this.#good += 1;
    if (this.#good < GOOD_BATCHES) return;
    this.#good = 0;
    const grown = Math.max(this.#rows + 1, Math.floor(this.#rows * GROWTH));
    this.#rows = Math.min(grown, this.#most, Math.max(this.#rows, this.#failedAt - 1));
  }
}

const MEASURES = 3;
/** A size that has no measure after so many batches gets none here: most of their files were no rows. */
const TRIES = 12;
const FIRST_ROWS = 32;
const WEIGHT = 0.2;
/** The sizes beside the best are measured anew after so many batches: what is best may change. */
const REVISIT_BATCHES = 256;
/** A larger batch must be quicker by so much: it holds more files back when something goes wrong. */
const WORTH = 0.98;

interface Measured {
  ms: number;
  count: number;
}

/**
 * Finds the quickest of the sizes 1, 2, 4… by trying neighbours of the best, and single files: between those and a size
 * where caches are shared well there may be slower ones, which neighbours alone do not see past.
 */
export class RowTuner {
  readonly #measured = new Map<number, Measured>();
  readonly #tries = new Map<number, number>();
  #batches = 0;

  /** Rows for the next batch, `most` at most. */
  next(most: number): number {
    const best = this.#bestWithin(most);
    const revisits = Math.floor(this.#batches / REVISIT_BATCHES);
    const isRevisit = this.#batches % REVISIT_BATCHES < MEASURES && revisits > 0;
    if (isRevisit) return clamp(revisits % 2 === 0 ? best / 2 : best * 2, most);
    for (const size of [best, best * 2, best / 2, 1]) {
      if (size >= 1 && size <= most && this.#isDue(size)) return size;
    }
    return best;
  }

  /** A batch of so many files, of which so many became rows, cost so much, reading included. */
  observe({ files, rows }: { readonly files: number; readonly rows: number }, ms: number): void {
    this.#batches += 1;
    // A size in between says little of the sizes that are chosen among.
    if (!Number.isInteger(Math.log2(files))) return;
    this.#tries.set(files, (this.#tries.get(files) ?? 0) + 1);
    // A few files that are no input change little; of a batch with few rows nothing can be told.
    if (rows * 2 < files) return;
    const known = this.#measured.get(files);
    const perRow = ms / rows;
    if (known === undefined) this.#measured.set(files, { ms: perRow, count: 1 });
    // The first one pays for page faults and caches.
    else if (known.count === 1) this.#measured.set(files, { ms: perRow, count: 2 });
    else this.#measured.set(files, { ms: known.ms + WEIGHT * (perRow - known.ms), count: known.count + 1 });
  }

  #isDue(size: number): boolean {
    return (this.#measured.get(size)?.count ?? 0) < MEASURES && (this.#tries.get(size) ?? 0) < TRIES;
  }

  #bestWithin(most: number): number {
    let best = clamp(FIRST_ROWS, most);
    let bestMs = this.#measured.get(best)?.ms ?? Infinity;
    for (const [rows, { ms, count }] of [...this.#measured].sort(([a], [b]) => a - b)) {
      if (rows > most || count < MEASURES) continue;
      if (ms < bestMs * (rows > best ? WORTH : 1)) [best, bestMs] = [rows, ms];
    }
    return best;
  }
}

/** A power of two within 1 and `most`. */
function clamp(rows: number, most: number): number {
  const largest = 2 ** Math.floor(Math.log2(Math.max(1, most)));
  return Math.max(1, Math.min(largest, rows));
}
