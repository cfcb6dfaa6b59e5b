/** A copy of a whole store in one file, of one moment, taken while others write; and a store made of such a file. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants, copyFileSync, fsyncSync, closeSync, openSync, renameSync, rmSync } from "node:fs";
import { sql } from "kysely";
import { ConflictError, InfrastructureError, messageOf } from "../contract/errors.ts";
import { openStore } from "./open-store.ts";
import { openSqlite } from "./sqlite.ts";
import type { StoreLogger } from "./store.ts";
import { parseStoreUrl } from "./store-url.ts";

/** Writes the copy to a file that must not be there: a SQLite file, or an archive of `pg_dump`. @throws {InfrastructureError} */
export async function copyStore(url: string, file: string): Promise<void> {
  const target = parseStoreUrl(url);
  if (target.kind === "sqlite") {
    const database = await openSqlite(target.path);
    try {
      await sql`vacuum into ${file}`.execute(database.write);
    } finally {
      await database.close();
    }
    return;
  }
  await runTool("pg_dump", target.url, ["--format=custom", "--no-owner", "--no-privileges", `--file=${file}`]);
}

/**
 * Makes the store of a copy.
 * @throws {ConflictError} when the store has runs or schedules already
 * @throws {InfrastructureError} when it cannot be written
 */
export async function putStore(url: string, file: string, logger: StoreLogger): Promise<void> {
  await refuseFilled(url, logger);
  const target = parseStoreUrl(url);
  if (target.kind === "sqlite") putFile(file, target.path);
  else {
    const options = [
      "--clean",
      "--if-exists",
      "--no-owner",
      "--no-privileges",
      "--single-transaction",
      "--exit-on-error",
    ];
    await runTool("pg_restore", target.url, options, file);
  }
  // A copy of an earlier version is brought to the present schema.
  await using store = await openStore(url, logger);
  await store.migrate();
}

async function refuseFilled(url: string, logger: StoreLogger): Promise<void> {
  await using store = await openStore(url, logger);
  await store.migrate();
  const [runs, schedules] = await Promise.all([store.runs.list({ limit: 1 }), store.schedules.list()]);
  if (runs.length === 0 && schedules.length === 0) return;
  throw new ConflictError("expected a store without runs and schedules to restore into, found some");
}

/** The file takes the place of the empty one, whole. */
function putFile(file: string, path: string): void {
  const temporary = `${path}.restore`;
  copyFileSync(file, temporary, constants.COPYFILE_FICLONE);
  const descriptor = openSync(temporary, "r+");
  fsyncSync(descriptor);
  closeSync(descriptor);
  for (const suffix of ["-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
  renameSync(temporary, path);
}

/** Runs a tool of PostgreSQL on a database. The password goes by the environment: arguments can be read by everybody. */
async function runTool(tool: string, url: string, options: readonly string[], file?: string): Promise<void> {
  const [, account = "", password = ""] = /^([a-z]+:\/\/[^:@/]*):([^@/]*)@/.exec(url) ?? [];
  const safe = password === "" ? url : `${account}${url.slice(account.length + 1 + password.length)}`;
  const child = spawn(tool, [`--dbname=${safe}`, "--no-password", ...options, ...(file === undefined ? [] : [file])], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...(password !== "" && { PGPASSWORD: decodeURIComponent(password) }) },
  });
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => {
    said = (said + bytes.toString("utf8")).slice(-2_000);
  });
  try {
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) throw new Error(said.trim() === "" ? `exit code ${code ?? "none"}` : said.trim());
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const found = isMissing ? `no ${tool} on the PATH; sudo apt-get install -y postgresql-client` : messageOf(error);
    throw new InfrastructureError(`expected ${tool} to end well, found: ${found}`, { cause: error });
  }
}
