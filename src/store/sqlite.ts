/**
 * The store in one SQLite file, for one machine; several processes may share it (WAL). Two threads per process: one
 * writes, one reads, so a report over millions of rows never holds up a result.
 */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import {
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Expression,
  type QueryResult,
  type SqlBool,
} from "kysely";
import type { AnswerField, StoreDatabase } from "./database.ts";
import { fileColumns, type FileRow } from "./file-row.ts";
import { insertFileRow, liveRun } from "./record-rows.ts";
import type { Schema, StoreQueries, StoreTransaction } from "./schema.ts";
import { SqliteClient, type SqliteSession } from "./sqlite-client.ts";
import type { SqlValue, StatementReply } from "./sqlite-thread.ts";
import { storeDown } from "./store-errors.ts";
import { cleanText } from "./stored-text.ts";
import { WriteFaults } from "./write-faults.ts";

class SqliteConnection implements DatabaseConnection {
  readonly session: SqliteSession;
  readonly release: () => void;

  constructor(session: SqliteSession, release: () => void) {
    this.session = session;
    this.release = release;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const parameters = query.parameters as readonly SqlValue[];
    const reply = await this.session.ask({ kind: "statement", sql: query.sql, parameters });
    return { rows: toObjects(reply) as R[], numAffectedRows: BigInt(reply.changes) };
  }

  /** Pages by key are what streams here: one long cursor would keep the write-ahead log from being emptied. */
  streamQuery(): never {
    throw new TypeError("the SQLite connection reads in pages, it has no cursors");
  }
}

class SqliteDriver implements Driver {
  readonly #client: SqliteClient;
  readonly #isReader: boolean;

  constructor(client: SqliteClient, isReader: boolean) {
    this.#client = client;
    this.#isReader = isReader;
  }

  async init(): Promise<void> {
    // The first connection opens the file.
  }

  async acquireConnection(): Promise<SqliteConnection> {
    // A reader has no transactions, so its statements need no turns.
    if (this.#isReader) return new SqliteConnection(await this.#client.session(), () => undefined);
    const { session, release } = await this.#client.lock();
    return new SqliteConnection(session, release);
  }

  async beginTransaction(connection: SqliteConnection): Promise<void> {
    // The write lock at once: a transaction that asks for it later can fail with "busy" without a wait.
    await connection.session.ask({ kind: "statement", sql: "begin immediate", parameters: [] });
  }

  async commitTransaction(connection: SqliteConnection): Promise<void> {
    await connection.session.ask({ kind: "statement", sql: "commit", parameters: [] });
  }

  async rollbackTransaction(connection: SqliteConnection): Promise<void> {
    // A thread that died has taken its transaction along.
    if (connection.session.isOpen) await connection.session.ask({ kind: "rollback" });
  }

  releaseConnection(connection: SqliteConnection): Promise<void> {
    connection.release();
    return Promise.resolve();
  }

  destroy(): Promise<void> {
    return this.#client.close();
  }
}

/** Transactions of this driver take the write lock, so migrations may rely on theirs. */
class LockingSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

/** Opens the file, which is made when there is none, and its folder too. @throws {InfrastructureError} */
export async function openSqlite(path: string, faults: WriteFaults = new WriteFaults()): Promise<StoreDatabase> {
  const where = `sqlite:${path}`;
  try {
    makeFolder(dirname(path));
  } catch (error) {
    throw storeDown(where, "a folder that can be made", error);
  }
  const writer = new SqliteClient(where, { path, isReader: false }, faults);
  await writer.session();
  return new SqliteDatabase(where, writer, new SqliteClient(where, { path, isReader: true }, faults));
}

/** Step by step: Node's recursive mkdir never returns where the kernel says ENOENT below a folder that is there (/proc). */
function makeFolder(path: string): void {
  if (isFolder(path)) return;
  if (!existsSync(path)) makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process made it in between.
    if (!isFolder(path)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

class SqliteDatabase implements StoreDatabase {
  readonly kind = "sqlite";
  readonly where: string;
  readonly write: StoreQueries;
  readonly read: StoreQueries;
  readonly #writer: SqliteClient;
  readonly #reader: SqliteClient;
  readonly #insert: string;

  constructor(where: string, writer: SqliteClient, reader: SqliteClient) {
    this.where = where;
    this.#writer = writer;
    this.#reader = reader;
    this.write = new Kysely<Schema>({ dialect: dialectOf(new SqliteDriver(writer, false)) });
    this.read = new Kysely<Schema>({ dialect: dialectOf(new SqliteDriver(reader, true)) });
    this.#insert = insertFileRow(this.write).compile().sql;
  }

  transact<T>(work: (transaction: StoreTransaction) => Promise<T>): Promise<T> {
    return this.write.transaction().execute(work);
  }

  async recordRows(runId: string, rows: readonly FileRow[]): Promise<readonly string[] | undefined> {
    const guard = liveRun(this.write, runId).compile();
    const { session, release } = await this.#writer.lock();
    try {
      const reply = await session.ask({
        kind: "batch",
        guard: { sql: guard.sql, parameters: guard.parameters as readonly SqlValue[] },
        sql: this.#insert,
        rows: rows.map((row) => fileColumns.map((column) => row[column])),
      });
      if (!reply.guardFound) return undefined;
      return reply.unchanged.flatMap((at) => rows[at]?.path ?? []);
    } finally {
      release();
    }
  }

  contains(text: Expression<string | null>, part: string): Expression<SqlBool> {
    // SQLite's own functions fold ASCII only; `fold` is defined by the thread.
    return sql<SqlBool>`instr(fold(${text}), ${cleanText(part).toLowerCase()}) > 0`;
  }

  namesLabel(inference: Expression<string | null>, label: string, minConfidence: number): Expression<SqlBool> {
    return sql<SqlBool>`(json_extract(${inference}, '$.task') = 'multi-label' and exists (
      select 1 from json_each(${inference}, '$.labels') as one
      where json_extract(one.value, '$.label') = ${label} and json_extract(one.value, '$.confidence') >= ${minConfidence}
    ))`;
  }

  answers(inference: Expression<string | null>, { name, value }: AnswerField): Expression<SqlBool> {
    return sql<SqlBool>`exists (
      select 1 from json_each(${inference}, '$.answer') as one
      where one.key = ${name} and ${value} = case
        when one.type in ('true', 'false', 'null') then one.type
        else cast(one.value as text)
      end
    )`;
  }

  async close(): Promise<void> {
    // The query builders close only what they have used.
    await this.#reader.close();
    await this.#writer.close();
  }
}

function dialectOf(driver: Driver): Dialect {
  return {
    createAdapter: () => new LockingSqliteAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

function toObjects({ columns, rows }: StatementReply): Record<string, SqlValue>[] {
  return rows.map((row) => {
    const object: Record<string, SqlValue> = {};
    columns.forEach((column, at) => {
      object[column] = row[at] ?? null;
    });
    return object;
  });
}
