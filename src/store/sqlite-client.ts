/**
 * The side of an SQLite thread that the process talks to.
 *
 * A session is one life of the thread. When the thread dies, what it was asked fails, and the next caller gets a new
 * session; who holds a transaction keeps its session and fails with it, and never goes on half-way in a new one.
 */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { InfrastructureError } from "../contract/errors.ts";
import type { ThreadMessage, ThreadOptions, ThreadReplies, ThreadRequest } from "./sqlite-thread.ts";
import { fromSqlite, SqliteError, storeDown } from "./store-errors.ts";
import type { WriteFaults } from "./write-faults.ts";

interface Waiting {
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

const YOUNG_MB = 6;

export class SqliteSession {
  readonly #where: string;
  readonly #faults: WriteFaults;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #nextId = 1;
  #end: Error | undefined;

  private constructor(where: string, options: ThreadOptions, faults: WriteFaults) {
    this.#where = where;
    this.#faults = faults;
    this.#worker = new Worker(threadEntry(), {
      workerData: options,
      name: "headroom-store",
      // Flags of the process, such as loaders and --input-type, are none of the thread's business.
      execArgv: [],
      // Batches come and go: a small nursery keeps what they leave behind from piling up between collections.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#worker.on("message", (message: ThreadMessage) => {
      this.#settle(message);
    });
    this.#worker.on("error", (error) => {
      this.#fail(storeDown(where, "a thread that goes on", error));
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", () => {
        this.#fail(storeDown(where, "an open store", "a closed one"));
        resolve();
      });
    });
  }

  /** Starts the thread and opens the file. @throws {InfrastructureError} when that cannot be. */
  static async open(where: string, options: ThreadOptions, faults: WriteFaults): Promise<SqliteSession> {
    const session = new SqliteSession(where, options, faults);
    try {
      await new Promise((resolve, reject) => session.#waiting.set(0, { resolve, reject }));
    } catch (error) {
      await session.#worker.terminate();
      throw error;
    }
    return session;
  }

  get isOpen(): boolean {
    return this.#end === undefined;
  }

  ask<R extends ThreadRequest>(request: R): Promise<ThreadReplies[R["kind"]]> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) {
        reject(this.#end);
        return;
      }
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request });
    });
  }

  /** Answers what was asked before, closes the file and ends the thread. */
  async close(): Promise<void> {
    if (this.isOpen) await this.ask({ kind: "close" });
    await this.#exited;
  }

  #settle(message: ThreadMessage): void {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if ("error" in message) {
      const { message: text, resultCode } = message.error;
      const error = new SqliteError(text, resultCode);
      this.#faults.see(error);
      waiting?.reject(fromSqlite(this.#where, error));
    } else {
      waiting?.resolve(message.reply);
    }
  }

  #fail(error: Error): void {
    this.#end ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(this.#end);
    this.#waiting.clear();
  }
}

export class SqliteClient {
  readonly #where: string;
  readonly #options: ThreadOptions;
  readonly #faults: WriteFaults;
  #session: Promise<SqliteSession> | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(where: string, options: ThreadOptions, faults: WriteFaults) {
    this.#where = where;
    this.#options = options;
    this.#faults = faults;
  }

  /** The live session; opens one when there is none. */
  async session(): Promise<SqliteSession> {
    const before = this.#session;
    const known = await before?.catch(() => undefined); // an opening that failed is tried again below
    if (this.#isClosed) throw storeDown(this.#where, "an open store", "a closed one");
    if (known?.isOpen === true) return known;
    // Only the first one to see that the session is gone opens the next.
    if (this.#session === undefined || this.#session === before) {
      this.#session = SqliteSession.open(this.#where, this.#options, this.#faults);
    }
    return this.#session;
  }

  /** Waits for its turn; `release` passes it on. In between no other holder sends anything. */
  async lock(): Promise<{ session: SqliteSession; release: () => void }> {
    const before = this.#tail;
    let release: () => void = () => undefined;
    this.#tail = new Promise<void>((resolve) => {
      release = resolve;
    });
    await before;
    try {
      return { session: await this.session(), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#tail;
    const session = await this.#session?.catch(() => undefined); // never opened, nothing to close
    await session?.close();
  }
}

/**
 * The thread's program. Threads load plain JavaScript on every Node, so from the sources (tests, benches) the built
 * file runs, and a build that is missing or older than the source is an error instead of a surprise.
 */
function threadEntry(): URL {
  if (!import.meta.url.endsWith(".ts")) return new URL("./sqlite-thread.js", import.meta.url);
  const built = new URL("../../dist/store/sqlite-thread.js", import.meta.url);
  const source = new URL("./sqlite-thread.ts", import.meta.url);
  const builtAtMs = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtAtMs < statSync(source).mtimeMs) {
    const found = builtAtMs === 0 ? "none" : "one older than its source";
    throw new InfrastructureError(`expected ${fileURLToPath(built)}, found ${found}; to mend it: npm run build`);
  }
  return built;
}
