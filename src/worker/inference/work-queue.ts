/** Files that wait for the engine, of all chunks that run. Those of a batch that failed go back to the front, in halves. */
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
  /** It goes into no batch of more rows. */
  limit: number;
  /** How often the engine died, or its memory did not do, with this file alone. */
  strikes: number;
}

export class WorkQueue {
  #items: WorkItem[] = [];

  get length(): number {
    return this.#items.length;
  }

  get first(): WorkItem | undefined {
    return this.#items[0];
  }

  add(group: WorkGroup, nowMs: number): void {
    for (const at of group.paths.keys()) {
      this.#items.push({ group, at, queuedAtMs: nowMs, limit: Infinity, strikes: 0 });
    }
  }

  /** The next batch: `rows` at most, and no more than any of its files allows. */
  take(rows: number): WorkItem[] {
    let most = rows;
    let count = 0;
    for (const { limit } of this.#items) {
      most = Math.min(most, Math.max(1, limit));
      if (count >= most) break;
      count += 1;
    }
    return this.#items.splice(0, count);
  }

  /** Puts files back in front, in their order. */
  putBack(items: readonly WorkItem[]): void {
    this.#items = [...items, ...this.#items];
  }

  /** Takes the files of one group out. */
  withdraw(group: WorkGroup): void {
    this.#items = this.#items.filter((item) => item.group !== group);
  }

  /** Takes all out; their groups. */
  clear(): Set<WorkGroup> {
    const groups = new Set(this.#items.map(({ group }) => group));
    this.#items = [];
    return groups;
  }
}
