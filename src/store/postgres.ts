/**
 * The store in PostgreSQL, for a cluster. The pool makes a new connection when one was lost, so the store works again
 * as soon as the server does.
 */
import {
  CompiledQuery,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Expression,
  type QueryResult,
  type SqlBool,
} from "kysely";
import pg from "pg";
import { InvalidInputError, messageOf } from "../contract/errors.ts";
import type { AnswerField, StoreDatabase } from "./database.ts";
import { fileColumns, type FileRow } from "./file-row.ts";
import { liveRun, mayReplace, overwritten } from "./record-rows.ts";
import type { Schema, StoreQueries, StoreTransaction } from "./schema.ts";
import { fromPostgres, isConflict, isLostConnection, storeDown } from "./store-errors.ts";
import type { StoreLogger } from "./store.ts";
import { cleanText } from "./stored-text.ts";
import type { WriteFaults } from "./write-faults.ts";

/** A worker has one or two statements under way; a hundred workers must fit a server with its usual limit. */
const MAX_CONNECTIONS = 4;
const CONNECT_TIMEOUT_MS = 5_000;
/** A server that hangs is given up after this, and its connection with it. */
const QUERY_TIMEOUT_MS = 300_000;
const MAX_TRIES = 8;
const OLDEST_SERVER = 120_000;

const INT8 = 20;
const NUMERIC = 1700;

/** Numbers come as numbers: byte counts and their sums stay below 2^53. */
const types = new pg.TypeOverrides();
types.setTypeParser(INT8, Number);
types.setTypeParser(NUMERIC, Number);

class PostgresConnection implements DatabaseConnection {
  readonly client: pg.PoolClient;
  readonly #where: string;
  readonly #faults: WriteFaults;
  #lost: Error | undefined;
  readonly #onError = (error: Error) => {
    this.#lost ??= error;
  };

  constructor(client: pg.PoolClient, where: string, faults: WriteFaults) {
    this.client = client;
    this.#where = where;
    this.#faults = faults;
    // Between two statements of a transaction the connection may go too; it must not return to the pool.
    client.on("error", this.#onError);
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    try {
      const result = await this.client.query<R & pg.QueryResultRow>(query.sql, [...query.parameters]);
      return { rows: result.rows, numAffectedRows: BigInt(result.rowCount ?? 0) };
    } catch (error) {
      if (isLostConnection(error)) this.#lost ??= error instanceof Error ? error : new Error(messageOf(error));
      this.#faults.see(error);
      throw fromPostgres(this.#where, error);
    }
  }

  /** Pages by key are what streams here, as on the other engine. */
  streamQuery(): never {
    throw new TypeError("the PostgreSQL connection reads in pages, it has no cursors");
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Back to the pool, or away when it can be used no more. */
  release(): void {
    this.client.off("error", this.#onError);
    this.client.release(this.#lost ?? false);
  }
}

class PostgresDriver implements Driver {
  readonly #pool: pg.Pool;
  readonly #where: string;
  readonly #faults: WriteFaults;
  readonly #prepared = new WeakSet<pg.PoolClient>();

  constructor(pool: pg.Pool, where: string, faults: WriteFaults) {
    this.#pool = pool;
    this.#where = where;
    this.#faults = faults;
  }

  async init(): Promise<void> {
    // The first statement connects.
  }

  async acquireConnection(): Promise<PostgresConnection> {
    try {
      const connection = new PostgresConnection(await this.#pool.connect(), this.#where, this.#faults);
      await this.#prepare(connection);
      return connection;
    } catch (error) {
      if (this.#pool.ending) throw storeDown(this.#where, "an open store", "a closed one");
      throw fromPostgres(this.#where, error);
    }
  }

  /**
   * Our pages walk along a key. Without statistics, as in the first minute of a large run, the planner would collect
   * and sort all rows of the run for each page instead, unless it has no bitmap scans to do it with.
   */
  async #prepare(connection: PostgresConnection): Promise<void> {
    if (this.#prepared.has(connection.client)) return;
    try {
      await connection.executeQuery(CompiledQuery.raw("set enable_bitmapscan = off"));
      this.#prepared.add(connection.client);
    } catch (error) {
      connection.release();
      throw error;
    }
  }

  async beginTransaction(connection: PostgresConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin"));
  }

  async commitTransaction(connection: PostgresConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("commit"));
  }

  async rollbackTransaction(connection: PostgresConnection): Promise<void> {
    // The server rolls back by itself when the connection is gone; the first error is the one to report.
    if (!connection.isLost) await connection.executeQuery(CompiledQuery.raw("rollback"));
  }

  releaseConnection(connection: PostgresConnection): Promise<void> {
    connection.release();
    return Promise.resolve();
  }

  async destroy(): Promise<void> {
    if (!this.#pool.ended && !this.#pool.ending) await this.#pool.end();
  }
}

/** Connects, and checks that the server can keep what we have. @throws {InfrastructureError} */
export async function openPostgres(url: string, logger: StoreLogger, faults: WriteFaults): Promise<StoreDatabase> {
  const where = describeUrl(url);
  const pool = new pg.Pool({
    connectionString: url,
    application_name: "headroom",
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    types,
  });
  pool.on("error", (error) => {
    logger.warn({ err: error, store: where }, "store closed an idle connection");
  });
  pool.on("connect", (client) => {
    // Between two holders nobody listens, and an unheard error ends the process. Silence is right: the pool drops a
    // client that was lost, and the next statement of its holder fails with this very error.
    client.on("error", () => undefined);
  });
  const database = new PostgresDatabase(where, pool, faults);
  try {
    await checkServer(database);
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

class PostgresDatabase implements StoreDatabase {
  readonly kind = "postgres";
  readonly where: string;
  readonly write: StoreQueries;
  readonly read: StoreQueries;

  constructor(where: string, pool: pg.Pool, faults: WriteFaults) {
    this.where = where;
    this.write = new Kysely<Schema>({ dialect: dialectOf(new PostgresDriver(pool, where, faults)) });
    this.read = this.write;
  }

  async transact<T>(work: (transaction: StoreTransaction) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.write.transaction().execute(work);
      } catch (error) {
        // One of two transactions in each other's way has gone through, so there is no need to wait.
        if (!isConflict(error) || tries >= MAX_TRIES) throw error;
      }
    }
  }

  recordRows(runId: string, rows: readonly FileRow[]): Promise<readonly string[] | undefined> {
    // Two batches with the same paths must lock them in one order.
    const ordered = rows.toSorted((a, b) => (a.path < b.path ? -1 : 1));
    return this.transact(async (transaction) => {
      // The lock keeps retention away until the rows are there.
      const run = await liveRun(transaction, runId).forKeyShare().executeTakeFirst();
      if (run === undefined) return undefined;
      const taken = await insertFileRows(transaction, ordered).execute();
      if (taken.length === rows.length) return [];
      const takenPaths = new Set(taken.map((row) => row.path));
      return rows.map((row) => row.path).filter((path) => !takenPaths.has(path));
    });
  }

  contains(text: Expression<string | null>, part: string): Expression<SqlBool> {
    const folded = sql`lower(${cleanText(part)}::text collate "default")`;
    return sql<SqlBool>`strpos(lower(${text} collate "default"), ${folded}) > 0`;
  }

  namesLabel(inference: Expression<string | null>, label: string, minConfidence: number): Expression<SqlBool> {
    return sql<SqlBool>`(${inference}::json ->> 'task' = 'multi-label' and exists (
      select 1 from json_array_elements(${inference}::json -> 'labels') as one
      where one ->> 'label' = ${label} and (one ->> 'confidence')::double precision >= ${minConfidence}
    ))`;
  }

  answers(inference: Expression<string | null>, { name, value }: AnswerField): Expression<SqlBool> {
    const answer = sql`${inference}::json -> 'answer'`;
    return sql<SqlBool>`(${value} = case
      when json_typeof(${answer} -> ${name}::text) = 'null' then 'null'
      else ${answer} ->> ${name}::text
    end)`;
  }

  close(): Promise<void> {
    return this.write.destroy();
  }
}

/** All rows as one parameter: building a statement with a parameter for each value would take the event loop too long. */
function insertFileRows(db: StoreQueries, rows: readonly FileRow[]) {
  const definitions = fileColumns.map((column) => sql`${sql.ref(column)} ${sql.raw(columnTypes[column] ?? "text")}`);
  return db
    .insertInto("file_results")
    .columns(fileColumns)
    .expression(
      sql`select * from json_to_recordset(${JSON.stringify(rows)}::json) as given (${sql.join(definitions)}) order by path collate "C"`,
    )
    .onConflict((conflict) => conflict.columns(["run_id", "path"]).doUpdateSet(overwritten).where(mayReplace))
    .returning("path");
}

/** The columns that are no text. */
const columnTypes: Readonly<Partial<Record<keyof FileRow, string>>> = {
  epoch: "integer",
  ran_epoch: "integer",
  file_index: "bigint",
  exit_code: "bigint",
  attempts: "integer",
  started_at_ms: "double precision",
  duration_ms: "double precision",
  cpu_ms: "double precision",
  peak_bytes: "bigint",
  input_bytes: "bigint",
  output_bytes: "bigint",
  confidence: "double precision",
};

async function checkServer(database: PostgresDatabase): Promise<void> {
  const { rows } = await sql<{ encoding: string; version: number }>`
    select current_setting('server_encoding') as encoding, current_setting('server_version_num')::integer as version
  `.execute(database.read);
  const { encoding, version } = rows[0] ?? { encoding: "none", version: 0 };
  if (encoding !== "UTF8") throw storeDown(database.where, "a database with encoding UTF8", encoding);
  if (version < OLDEST_SERVER) throw storeDown(database.where, "PostgreSQL 12 or newer", `version ${version}`);
}

/** The URL without user and password. @throws {InvalidInputError} */
function describeUrl(url: string): string {
  if (!URL.canParse(url)) {
    throw new InvalidInputError("store URL", [
      { where: "store", expected: "postgres://user@host:port/database", found: "a URL that cannot be read" },
    ]);
  }
  const { host, pathname, searchParams } = new URL(url);
  return `postgres://${searchParams.get("host") ?? (host === "" ? "localhost" : host)}${pathname}`;
}

function dialectOf(driver: Driver): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}
