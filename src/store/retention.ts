/**
 * Deletes old runs. A run is marked first, in one step: from then on nobody sees it, resumes it or adds to it. Then its
 * rows go in small transactions, so that other writers wait for moments only, and at last the run's own row. Whatever
 * is left half-way by a crash is marked, and finished by the next call. A file of SQLite keeps its size and fills the
 * room again.
 */
import { isTerminal, runStates } from "../contract/outcomes.ts";
import type { StoreDatabase } from "./database.ts";
import type { StoreTransaction } from "./schema.ts";

const ROWS_AT_ONCE = 1_000;
const endedStates = runStates.filter(isTerminal);

/** The ids of the runs deleted, at most `limit`. */
export async function deleteRunsEndedBefore(database: StoreDatabase, timeMs: number, limit: number): Promise<string[]> {
  const begun = await database.write
    .selectFrom("runs")
    .select("id")
    .where("deleted_at_ms", "is not", null)
    .orderBy("id")
    .limit(limit)
    .execute();
  const old = await database.write
    .selectFrom("runs")
    .select("id")
    .where("ended_at_ms", "<", timeMs)
    .where("deleted_at_ms", "is", null)
    .where("state", "in", endedStates)
    .orderBy("ended_at_ms")
    .orderBy("id")
    .limit(limit - begun.length)
    .execute();
  const deleted: string[] = [];
  for (const { id } of begun) if (await deleteRun(database, id)) deleted.push(id);
  for (const { id } of old) {
    if ((await mark(database, id, timeMs)) && (await deleteRun(database, id))) deleted.push(id);
  }
  return deleted;
}

/** False when the run was resumed meanwhile, or another process marked it. */
async function mark(database: StoreDatabase, id: string, timeMs: number): Promise<boolean> {
  return database.transact(async (transaction) => {
    let run = transaction.selectFrom("runs").select("id").where("id", "=", id);
    // Results under way hold a shared lock on the run; SQLite has but one writer at a time.
    if (database.kind === "postgres") run = run.forUpdate();
    await run.execute();
    const marked = await transaction
      .updateTable("runs")
      // The key is free again for a new run.
      .set({ deleted_at_ms: timeMs, idempotency_key: null })
      .where("id", "=", id)
      .where("ended_at_ms", "<", timeMs)
      .where("state", "in", endedStates)
      .where("deleted_at_ms", "is", null)
      .executeTakeFirst();
    return marked.numUpdatedRows > 0n;
  });
}

/** False when another process deleted it. */
async function deleteRun(database: StoreDatabase, id: string): Promise<boolean> {
  for (const step of [deleteSomeFiles, deleteSomeAttempts, deleteSomePages]) {
    while (await database.transact((transaction) => step(transaction, id)));
  }
  const run = await database.write
    .deleteFrom("runs")
    .where("id", "=", id)
    .where("deleted_at_ms", "is not", null)
    .executeTakeFirst();
  return run.numDeletedRows > 0n;
}

/** Whether there was something to delete. */
async function deleteSomeFiles(transaction: StoreTransaction, id: string): Promise<boolean> {
  const some = transaction
    .selectFrom("file_results")
    .select("path")
    .where("run_id", "=", id)
    .orderBy("path")
    .limit(ROWS_AT_ONCE);
  const result = await transaction
    .deleteFrom("file_results")
    .where("run_id", "=", id)
    .where("path", "in", some)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

async function deleteSomeAttempts(transaction: StoreTransaction, id: string): Promise<boolean> {
  const some = transaction
    .selectFrom("attempts")
    .select("path")
    .where("run_id", "=", id)
    .orderBy("path")
    .limit(ROWS_AT_ONCE);
  const result = await transaction
    .deleteFrom("attempts")
    .where("run_id", "=", id)
    .where("path", "in", some)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** One page is thousands of paths. */
async function deleteSomePages(transaction: StoreTransaction, id: string): Promise<boolean> {
  const first = transaction.selectFrom("input_pages").select("page").where("run_id", "=", id).orderBy("page").limit(10);
  const result = await transaction
    .deleteFrom("input_pages")
    .where("run_id", "=", id)
    .where("page", "in", first)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}
