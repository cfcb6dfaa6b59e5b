/** What the engines throw, as errors of the house. */
import { InfrastructureError, messageOf } from "../contract/errors.ts";
import type { WriteFault } from "../contract/store-faults.ts";

/** The store cannot do its work now; says where, what was expected and what was found. */
export function storeDown(where: string, expected: string, found: unknown): InfrastructureError {
  return new InfrastructureError(`store ${where}: expected ${expected}, found ${messageOf(found)}`, { cause: found });
}

/** An error that SQLite threw in its thread; functions and classes do not cross threads. */
export class SqliteError extends Error {
  override readonly name = "SqliteError";
  /** SQLite's (extended) result code; undefined for what is no error of SQLite. */
  readonly resultCode: number | undefined;

  constructor(message: string, resultCode: number | undefined) {
    super(message);
    this.resultCode = resultCode;
  }
}

/** What had to be true, by SQLite's primary result code. */
const sqliteExpectations: Readonly<Record<number, string>> = {
  3: "permission to read and write the file",
  5: "the database to be unlocked within 10 s",
  6: "the database to be unlocked within 10 s",
  7: "enough memory",
  8: "a file that can be written",
  10: "a disk that reads and writes",
  11: "a whole database file",
  13: "free space on the disk",
  14: "a file that can be opened",
  26: "an SQLite database",
};

/** An error of SQLite as the error to throw; what is a fault of the code stays what it is. */
export function fromSqlite(where: string, error: unknown): unknown {
  if (!(error instanceof SqliteError)) return error;
  const expected = error.resultCode === undefined ? undefined : sqliteExpectations[error.resultCode & 0xff];
  if (expected !== undefined) return storeDown(where, expected, error);
  if (error.message.startsWith("no such table")) return storeDown(where, "the tables of a migrated store", error);
  return error;
}

/** What had to be true, by SQLSTATE or by its class. */
const sqlStateExpectations: Readonly<Record<string, string>> = {
  "08": "a connection that holds",
  "28": "a user who may log in",
  "3D": "an existing database",
  "42P01": "the tables of a migrated store",
  "42501": "permission to use the tables",
  "40": "no conflict with another transaction",
  "25006": "a server that can be written",
  "53": "a server with free space and free connections",
  "55": "an object that is free",
  "57": "a server that is up",
  "58": "a server whose disk reads and writes",
  XX: "a whole database",
};

const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOENT",
  "EACCES",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);

/** What `pg` says, without a code, when the connection went away or never came to be. */
const lostConnection =
  /connection terminated|connection error|not queryable|timeout|read timeout|connection ended|was closed/i;

/** Result codes of SQLite and SQLSTATEs of a database that answers and takes no writes. */
const faultsOfSqlite: Readonly<Record<number, WriteFault>> = { 8: "read-only", 10: "disk", 13: "full" };
const faultsOfPostgres: Readonly<Record<string, WriteFault>> = { 25006: "read-only", 53100: "full", 58030: "disk" };

/** Why the database took no write, by the error that its engine threw; undefined for errors of other kinds. */
export function writeFaultOf(error: unknown): WriteFault | undefined {
  if (error instanceof SqliteError) return faultsOfSqlite[(error.resultCode ?? 0) & 0xff];
  return faultsOfPostgres[codeOf(error) ?? ""];
}

/** The SQLSTATE or the system's error code, when there is one. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Whether the connection can be used no more after this error. */
export function isLostConnection(error: unknown): boolean {
  const code = codeOf(error);
  if (code === undefined) return lostConnection.test(messageOf(error));
  return networkCodes.has(code) || code.startsWith("08") || code.startsWith("57P");
}

/** An error of PostgreSQL as the error to throw; what is a fault of the code stays what it is. */
export function fromPostgres(where: string, error: unknown): unknown {
  const code = codeOf(error);
  const expected =
    code === undefined ? undefined : (sqlStateExpectations[code] ?? sqlStateExpectations[code.slice(0, 2)]);
  if (expected !== undefined) return storeDown(where, expected, error);
  return isLostConnection(error) ? storeDown(where, "a server that answers", describeNetwork(error)) : error;
}

/** Whether the transaction lost a race (deadlock, serialization) and may simply be run again. */
export function isConflict(error: unknown): boolean {
  const code = error instanceof InfrastructureError ? codeOf(error.cause) : codeOf(error);
  return code === "40001" || code === "40P01";
}

/** Node gives several addresses that refused as one AggregateError without a message. */
function describeNetwork(error: unknown): unknown {
  if (!(error instanceof AggregateError) || error.message !== "") return error;
  const parts = error.errors.map(messageOf);
  return new Error(parts.join("; "), { cause: error });
}
