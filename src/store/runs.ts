/** Runs: one row each, moved from state to state by compare-and-set. */
import { CompiledQuery, sql, type Selectable } from "kysely";
import { InfrastructureError, NotFoundError } from "../contract/errors.ts";
import { isTerminal, runStates, type RunState } from "../contract/outcomes.ts";
import { pathFromPrintable, printablePath } from "../contract/path-bytes.ts";
import type { FileCounts, OpenRun, RunRecord, RunReport } from "../contract/run-record.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { StoreDatabase } from "./database.ts";
import type { RunsTable, StoreQueries } from "./schema.ts";
import type { NewRun, RunChange, RunTable } from "./store.ts";
import { cleanText, toJson } from "./stored-text.ts";

const endedStates = runStates.filter(isTerminal);
const openStates = sql<RunState>`('queued', 'running', 'cancelling')`;

export class SqlRunTable implements RunTable {
  readonly #database: StoreDatabase;
  /** Written once: a caller waits for this statement, and making its text takes longer than carrying it out. */
  #insertSql: string | undefined;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  async create(run: NewRun): Promise<{ run: RunRecord; created: boolean }> {
    const key = run.idempotencyKey === undefined ? null : printablePath(run.idempotencyKey);
    // The earlier run may vanish by retention between the two statements; then the next insert goes through.
    for (let tries = 0; tries < 3; tries += 1) {
      if (await this.#insert(run, key)) return { run: queuedRun(run), created: true };
      const earlier = await this.#earlier(run.id, key);
      if (earlier !== undefined) return { run: fromRunRow(earlier), created: false };
    }
    throw new InfrastructureError(`store ${this.#database.where}: expected run ${run.id} to be new, found it deleted`);
  }

  async findByIdempotencyKey(key: string): Promise<RunRecord | undefined> {
    const runs = visibleRuns(this.#database.read);
    const row = await runs.where("idempotency_key", "=", printablePath(key)).executeTakeFirst();
    return row === undefined ? undefined : fromRunRow(row);
  }

  async get(id: string): Promise<RunRecord | undefined> {
    const row = await visibleRuns(this.#database.read).where("id", "=", id).executeTakeFirst();
    return row && fromRunRow(row);
  }

  async list(query: { limit: number; before?: string; states?: readonly RunState[] }): Promise<RunRecord[]> {
    if (query.states?.length === 0) return [];
    let runs = visibleRuns(this.#database.read);
    if (query.before !== undefined) {
      const last = await this.#createdAtMs(query.before);
      runs = runs.where((eb) =>
        eb(eb.refTuple("created_at_ms", "id"), "<", eb.tuple(sql<number>`${last}`, sql<string>`${query.before}`)),
      );
    }
    if (query.states !== undefined) runs = runs.where("state", "in", query.states);
    const rows = await runs.orderBy("created_at_ms", "desc").orderBy("id", "desc").limit(query.limit).execute();
    return rows.map(fromRunRow);
  }

  async open({ limit, afterId }: { limit: number; afterId?: string }): Promise<OpenRun[]> {
    // In the words of the index of open runs.
    let runs = visibleRuns(this.#database.read).select("queued_at_ms").where("state", "in", openStates);
    if (afterId !== undefined) runs = runs.where("id", ">", afterId);
    const rows = await runs.orderBy("id").limit(limit).execute();
    return rows.map((row) => ({ ...fromRunRow(row), queuedAtMs: row.queued_at_ms }));
  }

  async move(id: string, from: readonly RunState[], to: RunState, change: RunChange): Promise<boolean> {
    if (from.length === 0) return false;
    const result = await this.#database.write
      .updateTable("runs")
      .set({ state: to, ...changedColumns(change) })
      .where("id", "=", id)
      .where("state", "in", from)
      .where("deleted_at_ms", "is", null)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  async reopen(id: string, spec: RunSpec, atMs: number): Promise<RunRecord | undefined> {
    const row = await this.#database.write
      .updateTable("runs")
      .set((eb) => ({
        state: "queued" as const,
        epoch: eb("epoch", "+", 1),
        spec: toJson(spec),
        queued_at_ms: atMs,
        started_at_ms: null,
        ended_at_ms: null,
        counts: null,
        message: null,
      }))
      .where("id", "=", id)
      .where("state", "in", endedStates)
      .where("deleted_at_ms", "is", null)
      .returning(runColumns)
      .executeTakeFirst();
    return row && fromRunRow(row);
  }

  /** Whether there was no such run, and no run of the same key. */
  async #insert({ id, spec, createdAtMs }: NewRun, key: string | null): Promise<boolean> {
    this.#insertSql ??= insertRun(this.#database.write).compile().sql;
    const parameters = [id, toJson(spec), createdAtMs, createdAtMs, key];
    const { rows } = await this.#database.write.executeQuery(CompiledQuery.raw(this.#insertSql, parameters));
    return rows.length > 0;
  }

  /** Read where it was written, so that the row that was in the way is there. */
  async #earlier(id: string, key: string | null): Promise<RunRow | undefined> {
    const runs = visibleRuns(this.#database.write);
    const sameKey = key === null ? undefined : await runs.where("idempotency_key", "=", key).executeTakeFirst();
    return sameKey ?? runs.where("id", "=", id).executeTakeFirst();
  }

  async #createdAtMs(id: string): Promise<number> {
    const row = await this.#database.read
      .selectFrom("runs")
      .select("created_at_ms")
      .where("id", "=", id)
      .executeTakeFirst();
    if (row === undefined) throw new NotFoundError("run", id);
    return row.created_at_ms;
  }
}

const runColumns = [
  "id",
  "state",
  "epoch",
  "spec",
  "created_at_ms",
  "started_at_ms",
  "ended_at_ms",
  "counts",
  "message",
  "idempotency_key",
  "report",
] as const;

type RunRow = Pick<Selectable<RunsTable>, (typeof runColumns)[number]>;

/** Inserts a queued run, with parameters for its id, specification, both times and idempotency key, in this order. */
function insertRun(db: StoreQueries) {
  return db
    .insertInto("runs")
    .values({
      id: "",
      state: sql.lit("queued" as const),
      epoch: sql.lit(0),
      spec: "",
      created_at_ms: 0,
      queued_at_ms: 0,
      idempotency_key: null,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning("id");
}

/** The record of a run that nothing has happened to. */
function queuedRun({ id, spec, createdAtMs, idempotencyKey }: NewRun): RunRecord {
  const nothing = { startedAtMs: null, endedAtMs: null, counts: null, message: null, report: null };
  return { id, state: "queued", epoch: 0, spec, createdAtMs, idempotencyKey: idempotencyKey ?? null, ...nothing };
}

function visibleRuns(db: StoreQueries) {
  return db.selectFrom("runs").select(runColumns).where("deleted_at_ms", "is", null);
}

function changedColumns(change: RunChange): Partial<RunsTable> {
  return {
    ...(change.startedAtMs !== undefined && { started_at_ms: change.startedAtMs }),
    ...(change.endedAtMs !== undefined && { ended_at_ms: change.endedAtMs }),
    ...(change.message !== undefined && { message: cleanText(change.message) }),
    ...(change.counts !== undefined && { counts: toJson(change.counts) }),
    ...(change.report !== undefined && { report: toJson(change.report) }),
  };
}

function fromRunRow(row: RunRow): RunRecord {
  return {
    id: row.id,
    state: row.state,
    epoch: row.epoch,
    // Both were checked before they were written, and nobody else writes here.
    spec: JSON.parse(row.spec) as RunSpec,
    createdAtMs: row.created_at_ms,
    startedAtMs: row.started_at_ms,
    endedAtMs: row.ended_at_ms,
    counts: row.counts === null ? null : (JSON.parse(row.counts) as FileCounts),
    message: row.message,
    idempotencyKey: row.idempotency_key === null ? null : pathFromPrintable(row.idempotency_key),
    report: row.report === null ? null : (JSON.parse(row.report) as RunReport),
  };
}
