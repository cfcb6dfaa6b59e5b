/**
 * Brings a database to the present schema. All migrations of one call run in one transaction under the engine's lock
 * (PostgreSQL: an advisory lock; SQLite: the write lock), so processes that start together may all call it.
 */
import { Migrator, type Migration } from "kysely";
import { InfrastructureError, messageOf } from "../contract/errors.ts";
import type { StoreDatabase } from "./database.ts";
import { createRunsAndFiles } from "./migrations/0001-runs-and-files.ts";
import { createLearned } from "./migrations/0002-learned.ts";
import { addInferences } from "./migrations/0003-inferences.ts";
import { createSchedules } from "./migrations/0004-schedules.ts";
import { createPlans } from "./migrations/0005-plans.ts";
import { storeDown } from "./store-errors.ts";

/** Every migration by name, in order of names; one that was released never changes. */
function migrationsFor(kind: StoreDatabase["kind"]): Record<string, Migration> {
  return {
    "0001-runs-and-files": { up: (db) => createRunsAndFiles(db, kind) },
    "0002-learned": { up: (db) => createLearned(db) },
    "0003-inferences": { up: (db) => addInferences(db) },
    "0004-schedules": { up: (db) => createSchedules(db, kind) },
    "0005-plans": { up: (db) => createPlans(db) },
  };
}

/** @throws {InfrastructureError} when the database is newer than this program, or does not answer. */
export async function migrate(database: StoreDatabase): Promise<void> {
  const migrator = new Migrator({
    db: database.write,
    provider: { getMigrations: () => Promise.resolve(migrationsFor(database.kind)) },
    migrationTableName: "headroom_migrations",
    migrationLockTableName: "headroom_migration_lock",
  });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  if (error instanceof InfrastructureError) throw error;
  const isNewer = messageOf(error).includes("previously executed migration");
  throw storeDown(database.where, isNewer ? "a schema that this version knows" : "migrations to apply", error);
}
