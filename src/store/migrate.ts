/**
 * Brings a database to the present schema. All migrations of one call run in one transaction under the engine's lock
 * (PostgreSQL: an advisory lock; SQLite: the write lock), so processes that start together may all call it.
 */
import { Migrator, sql, type Migration } from "kysely";
import { InfrastructureError, messageOf } from "../contract/errors.ts";
import type { StoreDatabase } from "./database.ts";
import { createRunsAndFiles } from "./migrations/0001-runs-and-files.ts";
import { createLearned } from "./migrations/0002-learned.ts";
import { addInferences } from "./migrations/0003-inferences.ts";
import { createSchedules } from "./migrations/0004-schedules.ts";
import { createPlans } from "./migrations/0005-plans.ts";
import { addAgents } from "./migrations/0006-agents.ts";
import { addTranscripts } from "./migrations/0007-transcripts.ts";
import { storeDown } from "./store-errors.ts";

const MIGRATIONS = "headroom_migrations";

/** Every migration by name, in order of names; one that was released never changes. */
function migrationsFor(kind: StoreDatabase["kind"]): Record<string, Migration> {
  return {
    "0001-runs-and-files": { up: (db) => createRunsAndFiles(db, kind) },
    "0002-learned": { up: (db) => createLearned(db) },
    "0003-inferences": { up: (db) => addInferences(db) },
    "0004-schedules": { up: (db) => createSchedules(db, kind) },
    "0005-plans": { up: (db) => createPlans(db) },
    "0006-agents": { up: (db) => addAgents(db) },
    "0007-transcripts": { up: (db) => addTranscripts(db) },
  };
}

/**
 * A migration only ever adds, so that programs of the version before go on working beside it; one that takes something away
 * says so in its name, and only those that know it may then open the database.
 */
const TAKES_AWAY = /^\d+-drops-/;

/** @throws {InfrastructureError} when a newer program took something away from the database, or it does not answer. */
export async function migrate(database: StoreDatabase): Promise<void> {
  const known = migrationsFor(database.kind);
  const migrator = new Migrator({
    db: database.write,
    provider: { getMigrations: async () => ({ ...known, ...(await addedByNewer(database, known)) }) },
    migrationTableName: MIGRATIONS,
    migrationLockTableName: "headroom_migration_lock",
  });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  if (error instanceof InfrastructureError) throw error;
  const isNewer = messageOf(error).includes("previously executed migration");
  throw storeDown(database.where, isNewer ? "a schema that this version knows" : "migrations to apply", error);
}

/** What newer programs have added: done already, and nothing that this one has to know. */
async function addedByNewer(
  { read }: StoreDatabase,
  known: Readonly<Record<string, Migration>>,
): Promise<Record<string, Migration>> {
  const last = Object.keys(known).toSorted().at(-1) ?? "";
  const executed = await sql<{ name: string }>`select name from ${sql.table(MIGRATIONS)}`.execute(read);
  const names = executed.rows.map(({ name }) => name);
  const added = names.filter((name) => name > last && !TAKES_AWAY.test(name));
  return Object.fromEntries(added.map((name) => [name, { up: () => Promise.resolve() }]));
}
