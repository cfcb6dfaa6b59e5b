/** Opens the store that a URL names. */
import { sql } from "kysely";
import type { WriteFault } from "../contract/store-faults.ts";
import type { StoreDatabase } from "./database.ts";
import { SqlFileTable } from "./file-results.ts";
import { SqlInputPages } from "./inputs.ts";
import { SqlLearned } from "./learned.ts";
import { SqlPlans } from "./plans.ts";
import { migrate } from "./migrate.ts";
import { deleteRunsEndedBefore } from "./retention.ts";
import { SqlRunTable } from "./runs.ts";
import { SqlSchedules } from "./schedules.ts";
import { openSqlite } from "./sqlite.ts";
import type { Store, StoreLogger } from "./store.ts";
import { storeDown } from "./store-errors.ts";
import { parseStoreUrl } from "./store-url.ts";
import { WriteFaults } from "./write-faults.ts";

const PING_MS = 5_000;

/**
 * Opens `sqlite:/absolute/path/headroom.db` or `postgres://…`; the caller closes it, and migrates it before the first
 * use. @throws {InvalidInputError} when the URL is neither, {InfrastructureError} when the database does not answer.
 */
export async function openStore(url: string, logger: StoreLogger): Promise<Store> {
  const faults = new WriteFaults();
  return new SqlStore(await openDatabase(url, logger, faults), faults);
}

async function openDatabase(url: string, logger: StoreLogger, faults: WriteFaults): Promise<StoreDatabase> {
  const target = parseStoreUrl(url);
  if (target.kind === "sqlite") return openSqlite(target.path, faults);
  // Its driver is loaded where there is a server to talk to: a command over files must not wait for it.
  const { openPostgres } = await import("./postgres.ts");
  return openPostgres(target.url, logger, faults);
}

class SqlStore implements Store {
  readonly kind: Store["kind"];
  readonly runs: SqlRunTable;
  readonly files: SqlFileTable;
  readonly inputs: SqlInputPages;
  readonly learned: SqlLearned;
  readonly plans: SqlPlans;
  readonly schedules: SqlSchedules;
  readonly #database: StoreDatabase;
  readonly #faults: WriteFaults;
  #closing: Promise<void> | undefined;

  constructor(database: StoreDatabase, faults: WriteFaults) {
    this.kind = database.kind;
    this.#database = database;
    this.#faults = faults;
    this.runs = new SqlRunTable(database);
    this.files = new SqlFileTable(database);
    this.inputs = new SqlInputPages(database);
    this.learned = new SqlLearned(database);
    this.plans = new SqlPlans(database);
    this.schedules = new SqlSchedules(database);
  }

  migrate(): Promise<void> {
    return migrate(this.#database);
  }

  async ping(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(storeDown(this.#database.where, "an answer", `none within ${PING_MS / 1_000} s`));
      }, PING_MS);
    });
    try {
      await Promise.race([sql`select 1`.execute(this.#database.write), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  onWriteFault(listener: (fault: WriteFault) => void): void {
    this.#faults.listen(listener);
  }

  deleteRunsEndedBefore(timeMs: number, limit: number): Promise<string[]> {
    return deleteRunsEndedBefore(this.#database, timeMs, limit);
  }

  close(): Promise<void> {
    this.#closing ??= this.#database.close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
