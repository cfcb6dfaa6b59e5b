/**
 * Schedules, what became of their times, and an index of the runs that have not ended, so that those who look after them
 * never read the others.
 */
import { sql, type Kysely } from "kysely";
import type { Store } from "../store.ts";

export async function createSchedules(db: Kysely<unknown>, kind: Store["kind"]): Promise<void> {
  const bytewise = kind === "postgres" ? sql`collate "C"` : sql`collate binary`;
  await db.schema
    .createTable("schedules")
    .addColumn("name", "text", (column) => column.notNull().modifyEnd(bytewise).primaryKey())
    .addColumn("spec", "text", (column) => column.notNull())
    .addColumn("source", "text", (column) => column.notNull())
    .addColumn("is_paused", "integer", (column) => column.notNull())
    .addColumn("created_at_ms", "double precision", (column) => column.notNull())
    .addColumn("updated_at_ms", "double precision", (column) => column.notNull())
    .addColumn("revision", "integer", (column) => column.notNull())
    .addColumn("settled_ms", "double precision", (column) => column.notNull())
    .addColumn("term", "double precision", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("schedule_starts")
    .addColumn("schedule", "text", (column) => column.notNull().modifyEnd(bytewise))
    .addColumn("time_ms", "double precision", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("is_backfill", "integer", (column) => column.notNull())
    .addColumn("run_id", "text")
    .addColumn("message", "text")
    .addColumn("at_ms", "double precision", (column) => column.notNull())
    .addColumn("term", "double precision", (column) => column.notNull())
    .addPrimaryKeyConstraint("schedule_starts_pk", ["schedule", "time_ms"])
    .execute();
  await db.schema
    .createIndex("schedule_starts_due")
    .on("schedule_starts")
    .columns(["schedule", "time_ms"])
    .where(sql.ref("state"), "=", sql.lit("due"))
    .execute();
  await db.schema
    .createIndex("runs_open")
    .on("runs")
    .columns(["id"])
    .where(sql.ref("state"), "in", [sql.lit("queued"), sql.lit("running"), sql.lit("cancelling")])
    .execute();
}
