/** Plans of flows by their hashes. */
import type { Kysely } from "kysely";

export async function createPlans(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("plans")
    .addColumn("sha256", "text", (column) => column.notNull().primaryKey())
    .addColumn("plan", "text", (column) => column.notNull())
    .addColumn("origin", "text")
    .addColumn("at_ms", "double precision", (column) => column.notNull())
    .execute();
  await db.schema.createIndex("plans_at_ms").on("plans").column("at_ms").execute();
}
