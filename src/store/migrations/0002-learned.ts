/** What was learned of each class of jobs, as it stood in Redis when it was saved last. */
import type { Kysely } from "kysely";

export async function createLearned(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("learned_classes")
    .addColumn("class_key", "text", (column) => column.notNull().primaryKey())
    .addColumn("at_ms", "double precision", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .execute();
}
