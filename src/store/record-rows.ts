/** The statements of the fast way in for results, shared by both engines. */
import {
  sql,
  type Expression,
  type ExpressionBuilder,
  type OnConflictDatabase,
  type OnConflictTables,
  type SqlBool,
} from "kysely";
import { fileColumns, type FileRow } from "./file-row.ts";
import type { Schema, StoreQueries } from "./schema.ts";

type Conflict = ExpressionBuilder<OnConflictDatabase<Schema, "file_results">, OnConflictTables<"file_results">>;

/** Finds the run that results belong to, unless retention has taken it. */
export function liveRun(db: StoreQueries, runId: string) {
  return db.selectFrom("runs").select("id").where("id", "=", runId).where("deleted_at_ms", "is", null);
}

/**
 * Whether a result takes the place of the row that holds its path: the row is of an older epoch, or of the same one and
 * no success. The very same result a second time is taken too, for a writer may repeat what it got no answer to.
 */
export function mayReplace(eb: Conflict): Expression<SqlBool> {
  return eb.or([
    eb("file_results.epoch", "<", eb.ref("excluded.epoch")),
    eb.and([
      eb("file_results.epoch", "=", eb.ref("excluded.epoch")),
      eb.or([eb("file_results.outcome", "!=", sql.lit("succeeded")), isSameResult(eb)]),
    ]),
  ]);
}

function isSameResult(eb: Conflict): Expression<SqlBool> {
  const same = ["outcome", "ran_epoch", "worker_id", "started_at_ms", "attempts", "output_sha256"] as const;
  return eb.and(
    same.map((column) => eb(`file_results.${column}`, "is not distinct from", eb.ref(`excluded.${column}`))),
  );
}

/** What a taken result overwrites: everything but the key. */
export function overwritten(eb: Conflict) {
  const columns = fileColumns.filter((column) => column !== "run_id" && column !== "path");
  return Object.fromEntries(columns.map((column) => [column, eb.ref(`excluded.${column}`)]));
}

/** Inserts one row, with a parameter for each of `fileColumns` in their order, and no other. */
export function insertFileRow(db: StoreQueries) {
  // Only the text of the statement is used, so the values do not matter.
  const anyRow = Object.fromEntries(fileColumns.map((column) => [column, ""])) as unknown as FileRow;
  return db
    .insertInto("file_results")
    .values(anyRow)
    .onConflict((conflict) => conflict.columns(["run_id", "path"]).doUpdateSet(overwritten).where(mayReplace));
}
