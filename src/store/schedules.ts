/** Schedules and what became of their times: one row each. */
import { sql, type Selectable } from "kysely";
import type { ScheduleRecord, ScheduleSpec, ScheduleStart } from "../contract/schedules.ts";
import type { StoreDatabase } from "./database.ts";
import type { SchedulesTable, ScheduleStartsTable, StoreTransaction } from "./schema.ts";
import { cleanText, toJson } from "./stored-text.ts";
import type { DueHead, ScheduleChange, ScheduleFence, ScheduleTable, StartEnd } from "./store.ts";

/** Rows in one statement. */
const ROWS_AT_ONCE = 200;

export class SqlSchedules implements ScheduleTable {
  readonly #database: StoreDatabase;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  async list(): Promise<ScheduleRecord[]> {
    const rows = await this.#database.read.selectFrom("schedules").selectAll().orderBy("name").execute();
    return rows.map(fromRow);
  }

  async get(name: string): Promise<ScheduleRecord | undefined> {
    const schedules = this.#database.read.selectFrom("schedules").selectAll();
    const row = await schedules.where("name", "=", name).executeTakeFirst();
    return row && fromRow(row);
  }

  async create(name: string, change: ScheduleChange): Promise<boolean> {
    const { spec, source, isPaused, nowMs, settledMs } = change;
    const inserted = await this.#database.write
      .insertInto("schedules")
      .values({
        ...{ name, spec: toJson(spec), source, is_paused: Number(isPaused) },
        ...{ created_at_ms: nowMs, updated_at_ms: nowMs, revision: 0, settled_ms: settledMs ?? nowMs, term: 0 },
      })
      .onConflict((conflict) => conflict.doNothing())
      .returning("name")
      .executeTakeFirst();
    return inserted !== undefined;
  }

  async change(name: string, revision: number, change: ScheduleChange): Promise<boolean> {
    const { spec, source, isPaused, nowMs, settledMs } = change;
    const changed = await this.#database.write
      .updateTable("schedules")
      .set({
        ...{ spec: toJson(spec), source, is_paused: Number(isPaused), updated_at_ms: nowMs, revision: revision + 1 },
        ...(settledMs !== undefined && { settled_ms: settledMs }),
      })
      .where("name", "=", name)
      .where("revision", "=", revision)
      .executeTakeFirst();
    return changed.numUpdatedRows > 0n;
  }

  async remove(name: string): Promise<boolean> {
    return this.#database.transact(async (transaction) => {
      await transaction.deleteFrom("schedule_starts").where("schedule", "=", name).execute();
      const gone = await transaction.deleteFrom("schedules").where("name", "=", name).executeTakeFirst();
      return gone.numDeletedRows > 0n;
    });
  }

  async settle(fence: ScheduleFence, settledMs: number, starts: readonly ScheduleStart[]): Promise<boolean> {
    const { name, revision, term } = fence;
    return this.#database.transact(async (transaction) => {
      const moved = await transaction
        .updateTable("schedules")
        .set({ settled_ms: settledMs, term })
        .where("name", "=", name)
        .where("revision", "=", revision)
        .where("term", "<=", term)
        .where("settled_ms", "<", settledMs)
        .executeTakeFirst();
      if (moved.numUpdatedRows === 0n) return false;
      await insertStarts(transaction, name, starts);
      return true;
    });
  }

  async backfill(name: string, times: readonly number[], nowMs: number): Promise<number> {
    const rows = times.map((timeMs) => ({
      ...{ schedule: name, time_ms: timeMs, state: "due" as const, is_backfill: 1 },
      ...{ run_id: null, message: null, at_ms: nowMs, term: 0 },
    }));
    return this.#database.transact(async (transaction) => {
      let added = 0;
      for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
        const done = await transaction
          .insertInto("schedule_starts")
          .values(rows.slice(at, at + ROWS_AT_ONCE))
          .onConflict((conflict) =>
            conflict
              .columns(["schedule", "time_ms"])
              .doUpdateSet({ state: "due", is_backfill: 1, message: null, at_ms: nowMs })
              .where("schedule_starts.state", "in", ["skipped", "refused"]),
          )
          .returning("time_ms")
          .execute();
        added += done.length;
      }
      return added;
    });
  }

  async dueHeads(): Promise<DueHead[]> {
    const rows = await this.#database.read
      .selectFrom("schedule_starts")
      .select((eb) => ["schedule", "is_backfill", eb.fn.min<number>("time_ms").as("time_ms")])
      .where("state", "=", sql.lit("due"))
      .groupBy(["schedule", "is_backfill"])
      .orderBy("schedule")
      .orderBy("is_backfill")
      .execute();
    return rows.map((row) => ({ name: row.schedule, timeMs: row.time_ms, isBackfill: row.is_backfill === 1 }));
  }

  async countDue(name: string): Promise<number> {
    const { due } = await this.#database.read
      .selectFrom("schedule_starts")
      .select((eb) => eb.fn.countAll<number>().as("due"))
      .where("schedule", "=", name)
      .where("state", "=", sql.lit("due"))
      .executeTakeFirstOrThrow();
    return due;
  }

  async mark(
    { name, term }: Pick<ScheduleFence, "name" | "term">,
    timeMs: number,
    { state, runId, message, atMs }: StartEnd & { atMs: number },
  ): Promise<boolean> {
    const marked = await this.#database.write
      .updateTable("schedule_starts")
      .set({
        ...{ state, term, at_ms: atMs, run_id: runId ?? null },
        message: message === undefined ? null : cleanText(message),
      })
      .where("schedule", "=", name)
      .where("time_ms", "=", timeMs)
      .where("state", "=", sql.lit("due"))
      .where("term", "<=", term)
      .executeTakeFirst();
    return marked.numUpdatedRows > 0n;
  }

  async starts(name: string, limit: number): Promise<ScheduleStart[]> {
    const starts = this.#database.read.selectFrom("schedule_starts").selectAll().where("schedule", "=", name);
    return (await starts.orderBy("time_ms", "desc").limit(limit).execute()).map(fromStartRow);
  }

  async lastStarted(name: string, limit: number): Promise<ScheduleStart[]> {
    const starts = this.#database.read.selectFrom("schedule_starts").selectAll().where("schedule", "=", name);
    const started = starts.where("state", "=", "started");
    return (await started.orderBy("at_ms", "desc").orderBy("time_ms", "desc").limit(limit).execute()).map(fromStartRow);
  }

  async trim(name: string, keep: number): Promise<number> {
    const [oldest] = await this.#database.write
      .selectFrom("schedule_starts")
      .select("time_ms")
      .where("schedule", "=", name)
      .orderBy("time_ms", "desc")
      .offset(keep - 1)
      .limit(1)
      .execute();
    if (oldest === undefined) return 0;
    const gone = await this.#database.write
      .deleteFrom("schedule_starts")
      .where("schedule", "=", name)
      .where("time_ms", "<", oldest.time_ms)
      .where("state", "!=", "due")
      .executeTakeFirst();
    return Number(gone.numDeletedRows);
  }
}

async function insertStarts(
  transaction: StoreTransaction,
  name: string,
  starts: readonly ScheduleStart[],
): Promise<void> {
  for (let at = 0; at < starts.length; at += ROWS_AT_ONCE) {
    await transaction
      .insertInto("schedule_starts")
      .values(starts.slice(at, at + ROWS_AT_ONCE).map((start) => toStartRow(name, start)))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

function toStartRow(schedule: string, start: ScheduleStart): ScheduleStartsTable {
  return {
    ...{ schedule, time_ms: start.timeMs, state: start.state, is_backfill: Number(start.isBackfill) },
    ...{ run_id: start.runId, at_ms: start.atMs, term: start.term },
    message: start.message === null ? null : cleanText(start.message),
  };
}

function fromStartRow(row: Selectable<ScheduleStartsTable>): ScheduleStart {
  return {
    ...{ timeMs: row.time_ms, state: row.state, isBackfill: row.is_backfill === 1 },
    ...{ runId: row.run_id, message: row.message, atMs: row.at_ms, term: row.term },
  };
}

function fromRow(row: Selectable<SchedulesTable>): ScheduleRecord {
  return {
    name: row.name,
    // Checked before it was written, and nobody else writes here.
    spec: JSON.parse(row.spec) as ScheduleSpec,
    source: row.source,
    isPaused: row.is_paused === 1,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
    revision: row.revision,
    settledMs: row.settled_ms,
  };
}
