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
/** Small batches are over so soon that a few of them tell little: a size is known by this many files, of batches up to `MOST_MEASURES`. */
const MEASURED_FILES = 16;
const MOST_MEASURES = 8;
/** A size that has no measure after so many batches gets none here: most of their files were no rows. */
const TRIES = 12;
const FIRST_ROWS = 32;
/** Of so many batches the one in the middle counts: what else the machine did meanwhile makes some of them slow, none quick. */
const KEPT = 9;
/** Other sizes are measured anew after so many batches, sooner in the beginning: what is best may change. */
const REVISIT_BATCHES = 256;
const FIRST_REVISIT = 32;
/** So many batches of another size may be under way when it begins. */
const UNDER_WAY = 2;
/** A larger batch must be quicker by so much: it holds more files back when something goes wrong. */
const WORTH = 0.98;

/**
 * Finds the quickest of the sizes 1, 2, 4… by trying neighbours of the best, and single files: between those and a size
 * where caches are shared well there may be slower ones, which neighbours alone do not see past.
 */
export class RowTuner {
  /** Milliseconds of a row in the last batches of each size, the oldest first. */
  readonly #measured = new Map<number, readonly number[]>();
  readonly #tries = new Map<number, number>();
  #batches = 0;
  #nextRevisit = FIRST_REVISIT;
  #revisits = 0;
  #revisit: { readonly size: number; left: number } | undefined;

  /** Rows for the next batch, `most` at most. */
  next(most: number): number {
    const best = this.#bestWithin(most);
    if (this.#revisit !== undefined) return clamp(this.#revisit.size, most);
    for (const size of [best, best * 2, best / 2, 1]) {
      if (size >= 1 && size <= most && this.#isDue(size)) return size;
    }
    if (this.#batches < this.#nextRevisit) return best;
    const size = clamp([best * 2, best / 2, 1][this.#revisits++ % 3] ?? 1, most);
    this.#nextRevisit = this.#batches + Math.min(REVISIT_BATCHES, this.#batches);
    this.#revisit = { size, left: measuresOf(size) + UNDER_WAY };
    return size;
  }

  /** A batch of so many files, of which so many became rows, cost so much, reading included. */
  observe({ files, rows }: { readonly files: number; readonly rows: number }, ms: number): void {
    this.#batches += 1;
    if (this.#revisit !== undefined && --this.#revisit.left === 0) this.#revisit = undefined;
    // A size in between says little of the sizes that are chosen among.
    if (!Number.isInteger(Math.log2(files))) return;
    this.#tries.set(files, (this.#tries.get(files) ?? 0) + 1);
    // A few files that are no input change little; of a batch with few rows nothing can be told.
    if (rows * 2 < files) return;
    const perRow = ms / rows;
    const known = this.#measured.get(files) ?? [];
    // The first one pays for page faults and caches.
    const kept = known.length === 1 && this.#tries.get(files) === 2 ? [] : known;
    this.#measured.set(files, [...kept, perRow].slice(-KEPT));
  }

  #isDue(size: number): boolean {
    const wanted = measuresOf(size);
    return (this.#measured.get(size)?.length ?? 0) < wanted && (this.#tries.get(size) ?? 0) < Math.max(TRIES, wanted);
  }

  #bestWithin(most: number): number {
    let best = clamp(FIRST_ROWS, most);
    let bestMs = middleOf(this.#measured.get(best) ?? []);
    for (const [rows, measured] of [...this.#measured].sort(([a], [b]) => a - b)) {
      if (rows > most || measured.length < MEASURES) continue;
      const ms = middleOf(measured);
      if (ms < bestMs * (rows > best ? WORTH : 1)) [best, bestMs] = [rows, ms];
    }
    return best;
  }
}

/** Batches of a size until it is known. */
function measuresOf(size: number): number {
  return Math.max(MEASURES, Math.min(MOST_MEASURES, Math.ceil(MEASURED_FILES / size)));
}

function middleOf(measured: readonly number[]): number {
  return measured.toSorted((a, b) => a - b)[Math.floor((measured.length - 1) / 2)] ?? Infinity;
}

/** A power of two within 1 and `most`. */
function clamp(rows: number, most: number): number {
  const largest = 2 ** Math.floor(Math.log2(Math.max(1, most)));
  return Math.max(1, Math.min(largest, rows));
}
