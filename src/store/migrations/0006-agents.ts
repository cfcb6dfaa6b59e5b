/** What agents said that they used, in the rows of their nodes. */
import type { Kysely } from "kysely";

export async function addAgents(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable("file_results").addColumn("agent", "text").execute();
}
