/** Attempts that were no outcome: those that were repeated, and those that came too late. */
import type { AttemptRecord } from "../contract/files.ts";
import { pathFromPrintable, printablePath } from "../contract/path-bytes.ts";
import type { StoreDatabase } from "./database.ts";
import type { AttemptsTable } from "./schema.ts";
import { cleanOrNull, cleanText } from "./stored-text.ts";

/** Rows in one statement; they are few, so a parameter for each value is no burden. */
const ROWS_AT_ONCE = 200;

export class AttemptTable {
  readonly #database: StoreDatabase;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  async add(runId: string, epoch: number, attempts: readonly AttemptRecord[]): Promise<void> {
    if (attempts.length === 0) return;
    const rows = attempts.map((attempt) => toAttemptRow(runId, epoch, attempt));
    await this.#database.transact(async (transaction) => {
      for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
        await transaction
          .insertInto("attempts")
          .values(rows.slice(at, at + ROWS_AT_ONCE))
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }
    });
  }

  async list(
    runId: string,
    { limit, path }: { limit: number; path?: string },
  ): Promise<(AttemptRecord & { readonly epoch: number })[]> {
    let rows = this.#database.read.selectFrom("attempts").selectAll().where("run_id", "=", runId);
    if (path !== undefined) rows = rows.where("path", "=", printablePath(path));
    const found = await rows
      .orderBy("epoch")
      .orderBy("at_ms")
      .orderBy("path")
      .orderBy("attempt")
      .limit(limit)
      .execute();
    return found.map(fromAttemptRow);
  }
}

function toAttemptRow(runId: string, epoch: number, attempt: AttemptRecord): AttemptsTable {
  return {
    run_id: runId,
    path: printablePath(attempt.path),
    epoch,
    at_ms: attempt.atMs,
    attempt: attempt.attempt,
    kind: attempt.end,
    worker_id: cleanText(attempt.workerId ?? ""),
    failure_class: attempt.failureClass,
    message: cleanOrNull(attempt.message),
    duration_ms: attempt.durationMs,
    output_sha256: cleanOrNull(attempt.outputSha256),
  };
}

function fromAttemptRow(row: AttemptsTable): AttemptRecord & { readonly epoch: number } {
  return {
    path: pathFromPrintable(row.path),
    end: row.kind,
    failureClass: row.failure_class,
    message: row.message,
    attempt: row.attempt,
    atMs: row.at_ms,
    durationMs: row.duration_ms,
    workerId: row.worker_id === "" ? null : row.worker_id,
    outputSha256: row.output_sha256,
    epoch: row.epoch,
  };
}
