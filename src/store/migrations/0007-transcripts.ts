/** Where the transcripts of agents are that leave another output, in the rows of their nodes. */
import type { Kysely } from "kysely";

export async function addTranscripts(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable("file_results").addColumn("transcript", "text").execute();
}
