/**
 * Runs, file results, attempts and input pages.
 *
 * Indexes cost time on every result, so there are only those that a query needs: the key `(run_id, path)` for pages in
 * path order, a slim one for counts and figures, to which SQLite only ever appends, and one with paths for the few rows
 * that did not succeed. No foreign keys: `record` checks once per batch that the run is there.
 */
import { sql, type ColumnDefinitionBuilder, type Kysely } from "kysely";
import type { Store } from "../store.ts";

type Column = (column: ColumnDefinitionBuilder) => ColumnDefinitionBuilder;

const required: Column = (column) => column.notNull();

export async function createRunsAndFiles(db: Kysely<unknown>, kind: Store["kind"]): Promise<void> {
  // Order by bytes on both engines, whatever the locale: pages and streams follow it.
  const ordered: Column = (column) =>
    column.notNull().modifyEnd(kind === "postgres" ? sql`collate "C"` : sql`collate binary`);
  await createRuns(db, ordered);
  await createFileResults(db, ordered);
  await db.schema
    .createTable("attempts")
    .addColumn("run_id", "text", ordered)
    .addColumn("path", "text", ordered)
    .addColumn("epoch", "integer", required)
    .addColumn("at_ms", "double precision", required)
    .addColumn("attempt", "integer", required)
    .addColumn("kind", "text", required)
    .addColumn("worker_id", "text", required)
    .addColumn("failure_class", "text")
    .addColumn("message", "text")
    .addColumn("duration_ms", "double precision")
    .addColumn("output_sha256", "text")
    .addPrimaryKeyConstraint("attempts_pk", ["run_id", "path", "epoch", "at_ms", "attempt", "kind", "worker_id"])
    .execute();
  await db.schema
    .createTable("input_pages")
    .addColumn("run_id", "text", ordered)
    .addColumn("page", "integer", required)
    .addColumn("paths", "text", required)
    .addPrimaryKeyConstraint("input_pages_pk", ["run_id", "page"])
    .execute();
}

async function createRuns(db: Kysely<unknown>, ordered: Column): Promise<void> {
  await db.schema
    .createTable("runs")
    .addColumn("id", "text", (column) => ordered(column).primaryKey())
    .addColumn("state", "text", required)
    .addColumn("epoch", "integer", required)
    .addColumn("spec", "text", required)
    .addColumn("created_at_ms", "double precision", required)
    .addColumn("queued_at_ms", "double precision", required)
    .addColumn("started_at_ms", "double precision")
    .addColumn("ended_at_ms", "double precision")
    .addColumn("counts", "text")
    .addColumn("message", "text")
    .addColumn("idempotency_key", "text", (column) => column.unique())
    .addColumn("report", "text")
    .addColumn("deleted_at_ms", "double precision")
    .execute();
  await db.schema.createIndex("runs_by_age").on("runs").columns(["created_at_ms", "id"]).execute();
  await db.schema.createIndex("runs_by_end").on("runs").columns(["ended_at_ms", "id"]).execute();
}

async function createFileResults(db: Kysely<unknown>, ordered: Column): Promise<void> {
  await db.schema
    .createTable("file_results")
    .addColumn("run_id", "text", ordered)
    .addColumn("path", "text", ordered)
    .addColumn("epoch", "integer", required)
    .addColumn("ran_epoch", "integer", required)
    .addColumn("file_index", "bigint", required)
    .addColumn("outcome", "text", required)
    .addColumn("failure_class", "text")
    .addColumn("message", "text")
    .addColumn("exit_code", "bigint")
    .addColumn("signal", "text")
    .addColumn("attempts", "integer", required)
    .addColumn("started_at_ms", "double precision")
    .addColumn("duration_ms", "double precision")
    .addColumn("cpu_ms", "double precision")
    .addColumn("peak_bytes", "bigint")
    .addColumn("input_bytes", "bigint")
    .addColumn("input_sha256", "text")
    .addColumn("binary_sha256", "text")
    .addColumn("args_sha256", "text")
    .addColumn("output_path", "text")
    .addColumn("output_bytes", "bigint")
    .addColumn("output_sha256", "text")
    .addColumn("log", "text")
    .addColumn("worker_id", "text")
    .addPrimaryKeyConstraint("file_results_pk", ["run_id", "path"])
    .execute();
  await db.schema
    .createIndex("file_results_by_outcome")
    .on("file_results")
    .columns(["run_id", "epoch", "outcome"])
    .execute();
  await db.schema
    .createIndex("file_results_not_succeeded")
    .on("file_results")
    .columns(["run_id", "epoch", "outcome", "path"])
    .where(sql.ref("outcome"), "!=", sql.lit("succeeded"))
    .execute();
}
