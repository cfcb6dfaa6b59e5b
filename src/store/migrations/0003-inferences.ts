/**
 * What models said of files, in the rows of the files: one row per file, written, refused, reused and deleted as one. The
 * index holds the rows of models alone.
 */
import { sql, type Kysely } from "kysely";

export async function addInferences(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable("file_results").addColumn("label", "text").execute();
  await db.schema.alterTable("file_results").addColumn("confidence", "double precision").execute();
  await db.schema.alterTable("file_results").addColumn("inference", "text").execute();
  await db.schema
    .createIndex("file_results_by_label")
    .on("file_results")
    .columns(["run_id", "epoch", "label", "confidence"])
    .where(sql.ref("label"), "is not", null)
    .execute();
}
