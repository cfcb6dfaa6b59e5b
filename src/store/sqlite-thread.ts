/**
 * The thread that owns one SQLite connection, so that the event loop of the process stays free (entry point of a
 * worker thread). Requests are answered in their order; each is one statement or one whole batch.
 *
 * It imports nothing of the house but types: run from the sources it is this file's built form that runs.
 */
import { parentPort, workerData } from "node:worker_threads";
import { DatabaseSync, type DatabaseSyncInstance, type StatementSyncInstance } from "@photostructure/sqlite";

export type SqlValue = string | number | bigint | null | Uint8Array;

export interface ThreadOptions {
  readonly path: string;
  readonly isReader: boolean;
}

export interface StatementRequest {
  readonly kind: "statement";
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
}
/** One transaction: ends at once when `guard` finds no row, else runs `sql` for each row. */
export interface BatchRequest {
  readonly kind: "batch";
  readonly guard: { readonly sql: string; readonly parameters: readonly SqlValue[] };
  readonly sql: string;
  readonly rows: readonly (readonly SqlValue[])[];
}
export type ThreadRequest =
  StatementRequest | BatchRequest | { readonly kind: "rollback" } | { readonly kind: "close" };

/** Rows come as arrays: their names once, not once per row. */
export interface StatementReply {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
  readonly changes: number;
}
export interface BatchReply {
  readonly guardFound: boolean;
  /** Positions of the rows that changed nothing. */
  readonly unchanged: readonly number[];
}
export interface ThreadReplies {
  readonly statement: StatementReply;
  readonly batch: BatchReply;
  readonly rollback: undefined;
  readonly close: undefined;
}

/** `id` 0 answers the opening. */
export type ThreadMessage =
  | { readonly id: number; readonly reply: ThreadReplies[keyof ThreadReplies] }
  | { readonly id: number; readonly error: { readonly message: string; readonly resultCode: number | undefined } };

const BUSY_TIMEOUT_MS = 10_000;
const MAX_STATEMENTS = 200;
const SQLITE_BUSY = 5;

interface Prepared {
  readonly statement: StatementSyncInstance;
  readonly columns: readonly string[];
}

class SqliteConnection {
  readonly #db: DatabaseSyncInstance;
  /** Least recently used first. */
  readonly #prepared = new Map<string, Prepared>();

  constructor(db: DatabaseSyncInstance) {
    this.#db = db;
  }

  readonly answers: { readonly [K in ThreadRequest["kind"]]: (request: never) => ThreadReplies[K] } = {
    statement: (request: StatementRequest) => this.#run(request),
    batch: (request: BatchRequest) => this.#runBatch(request),
    rollback: () => {
      this.#rollback();
      return undefined;
    },
    close: () => {
      this.#close();
      return undefined;
    },
  };

  #run(request: StatementRequest): StatementReply {
    const { statement, columns } = this.#prepare(request.sql);
    if (columns.length === 0) {
      return { columns, rows: [], changes: statement.run(...request.parameters).changes };
    }
    const rows = statement.all(...request.parameters) as SqlValue[][];
    return { columns, rows, changes: rows.length };
  }

  #runBatch(request: BatchRequest): BatchReply {
    const insert = this.#prepare(request.sql).statement;
    const guard = this.#prepare(request.guard.sql).statement;
    const unchanged: number[] = [];
    this.#db.exec("begin immediate");
    try {
      const guardFound = guard.get(...request.guard.parameters) !== undefined;
      if (guardFound) {
        request.rows.forEach((row, at) => {
          if (insert.run(...row).changes === 0) unchanged.push(at);
        });
      }
      this.#db.exec("commit");
      return { guardFound, unchanged };
    } catch (error) {
      this.#rollback();
      throw error;
    }
  }

  /** SQLite itself has rolled back already after some errors, such as a full disk. */
  #rollback(): void {
    if (this.#db.isTransaction) this.#db.exec("rollback");
  }

  #close(): void {
    this.#prepared.clear();
    this.#db.close();
  }

  #prepare(text: string): Prepared {
    const known = this.#prepared.get(text);
    this.#prepared.delete(text);
    const prepared = known ?? this.#prepareNew(text);
    this.#prepared.set(text, prepared);
    return prepared;
  }

  #prepareNew(text: string): Prepared {
    const oldest = this.#prepared.size < MAX_STATEMENTS ? undefined : this.#prepared.keys().next().value;
    if (oldest !== undefined) this.#prepared.delete(oldest);
    const statement = this.#db.prepare(text);
    statement.setReturnArrays(true);
    return { statement, columns: statement.columns().map((column) => column.name) };
  }
}

function openConnection({ path, isReader }: ThreadOptions): SqliteConnection {
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    useWal(db);
    // A commit survives a kill of the process; a power cut may take the last ones, never the database.
    db.exec("pragma synchronous = normal");
    db.exec("pragma foreign_keys = off");
    // KiB. The writer meets rows in path order, mostly; the reader scans.
    db.exec(`pragma cache_size = ${isReader ? -4096 : -12288}`);
    // Fewer and larger checkpoints: paths in random order touch the same pages again and again.
    db.exec("pragma wal_autocheckpoint = 4000");
    db.exec("pragma journal_size_limit = 67108864");
    db.exec(`pragma query_only = ${isReader ? "on" : "off"}`);
    db.function("fold", { deterministic: true }, (text: unknown) =>
      typeof text === "string" ? text.toLowerCase() : null,
    );
    return new SqliteConnection(db);
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Several processes that open a new file at once get "busy" without a wait here: SQLite's own timeout does not apply. */
function useWal(db: DatabaseSyncInstance): void {
  const deadline = performance.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      db.exec("pragma journal_mode = wal");
      return;
    } catch (error) {
      if (resultCodeOf(error) !== SQLITE_BUSY || performance.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

function resultCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode : undefined;
}

function failed(id: number, error: unknown): ThreadMessage {
  const message = error instanceof Error ? error.message : String(error);
  return { id, error: { message, resultCode: resultCodeOf(error) } };
}

/** Without a parent there is nobody to answer: the file was loaded outside a worker thread. */
function serve(port: NonNullable<typeof parentPort>): void {
  const post = (message: ThreadMessage) => {
    port.postMessage(message);
  };
  let connection: SqliteConnection;
  try {
    connection = openConnection(workerData as ThreadOptions);
  } catch (error) {
    post(failed(0, error));
    return;
  }
  post({ id: 0, reply: undefined });
  port.on("message", ({ id, request }: { id: number; request: ThreadRequest }) => {
    try {
      post({ id, reply: connection.answers[request.kind](request as never) });
    } catch (error) {
      post(failed(id, error));
    }
    if (request.kind === "close") port.close();
  });
}

if (parentPort !== null) serve(parentPort);
