/**
 * Files that wait for the engine, of all chunks that run, those of about one length together. Those of a batch that failed
 * go back to the front, in halves. What makes a whole batch goes first, but no file is passed over for ever.
 */
import type { FileAnswer } from "./engine-protocol.ts";

/** The batch that answers came from. */
export interface BatchFacts {
  readonly startedAtMs: number;
  /** Of the whole batch, and of the model alone. */
  readonly wholeMs: number;
  readonly files: number;
  readonly rssBytes: number;
}

/** The files of one chunk. */
export interface WorkGroup {
  readonly placeId: number;
  readonly paths: readonly string[];
  /** How large the files are, by position, as far as that is known; without it they are taken for long ones. */
  readonly bytes?: readonly number[];
  /** Digests of contents of which all is known, by position; such a file is not run. */
  readonly known?: readonly (string | undefined)[];
  /** Positions among `paths`, each with its answer. */
  onAnswers(answers: readonly { readonly at: number; readonly answer: FileAnswer }[], facts: BatchFacts): void;
  /** The engine cannot be used: what has no answer gets none. */
  onBroken(error: Error): void;
}

export interface WorkItem {
  readonly group: WorkGroup;
  readonly at: number;
  readonly queuedAtMs: number;
  /** Its place in the order in which files came. */
  readonly order: number;
  readonly bytes: number;
  /** It goes into no batch of more rows. */
  limit: number;
  /** How often the engine died, or its memory did not do, with this file alone. */
  strikes: number;
}

/** The batch that is next: `key` and `rows` are for `take`. */
export interface NextBatch {
  readonly key: number;
  readonly rows: number;
  readonly first: WorkItem;
  /** It gains nothing by waiting, or has been passed over often enough. */
  readonly isDue: boolean;
}

interface Waiting {
  items: WorkItem[];
  /** Batches that went before it though its first file is older. */
  passed: number;
}

/** Older files of another length wait for so many batches at most. */
export const MOST_PASSED = 8;

export class WorkQueue {
  #waiting = new Map<number, Waiting>();
  #bucketOf: (bytes: number) => number = () => Infinity;
  #added = 0;

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** From now on files are kept apart by what this says of their bytes. */
  arrange(bucketOf: (bytes: number) => number): void {
    const items = this.#items.sort((a, b) => a.order - b.order);
    this.#bucketOf = bucketOf;
    this.#waiting.clear();
    for (const item of items) this.#bucket(item).items.push(item);
  }

  add(group: WorkGroup, nowMs: number): void {
    for (const at of group.paths.keys()) {
      const bytes = group.bytes?.[at] ?? Infinity;
      const item = { group, at, queuedAtMs: nowMs, order: ++this.#added, bytes, limit: Infinity, strikes: 0 };
      this.#bucket(item).items.push(item);
    }
  }

  /**
   * The next batch, of as many rows as `rowsOf` tells for its files; undefined when nothing waits. One that was passed over
   * too often comes first, then the oldest that is whole, then the oldest.
   */
  next(rowsOf: (key: number) => number): NextBatch | undefined {
    let found: (NextBatch & { readonly rank: number }) | undefined;
    for (const [key, { items, passed }] of this.#waiting) {
      const [first] = items;
      if (first === undefined) continue;
      const rows = rowsOf(key);
      const rank = passed >= MOST_PASSED ? 2 : items.length >= rows ? 1 : 0;
      const isBefore =
        found === undefined || rank > found.rank || (rank === found.rank && first.order < found.first.order);
      if (isBefore) found = { key, rows, first, isDue: rank > 0, rank };
    }
    return found;
  }

  /** A batch: `rows` at most, and no more than any of its files allows. */
  take(key: number, rows: number): WorkItem[] {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return [];
    let most = rows;
    let count = 0;
    for (const { limit } of waiting.items) {
      most = Math.min(most, Math.max(1, limit));
      if (count >= most) break;
      count += 1;
    }
    const taken = waiting.items.splice(0, count);
    waiting.passed = 0;
    if (waiting.items.length === 0) this.#waiting.delete(key);
    const order = taken[0]?.order ?? 0;
    for (const [other, older] of this.#waiting) {
      if (other !== key && (older.items[0]?.order ?? Infinity) < order) older.passed += 1;
    }
    return taken;
  }

  /** Puts files back in front, in their order. */
  putBack(items: readonly WorkItem[]): void {
    for (const item of items.toReversed()) this.#bucket(item).items.unshift(item);
  }

  /** Takes the files of one group out. */
  withdraw(group: WorkGroup): void {
    for (const [key, waiting] of this.#waiting) {
      waiting.items = waiting.items.filter((item) => item.group !== group);
      if (waiting.items.length === 0) this.#waiting.delete(key);
    }
  }

  /** Takes all out; their groups. */
  clear(): Set<WorkGroup> {
    const groups = new Set(this.#items.map(({ group }) => group));
    this.#waiting.clear();
    return groups;
  }

  get #items(): WorkItem[] {
    return [...this.#waiting.values()].flatMap(({ items }) => items);
  }

  #bucket({ bytes }: WorkItem): Waiting {
    const key = this.#bucketOf(bytes);
    const waiting = this.#waiting.get(key) ?? { items: [], passed: 0 };
    this.#waiting.set(key, waiting);
    return waiting;
  }
}
