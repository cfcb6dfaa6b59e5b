/** File results: one row per run and path, written in batches, read in pages by key. */
import { sql, type ExpressionBuilder, type RawBuilder } from "kysely";
import { NotFoundError } from "../contract/errors.ts";
import type { AttemptRecord, FileResult } from "../contract/files.ts";
import type { InferenceQuery } from "../contract/inference.ts";
import { pathFromPrintable, printablePath } from "../contract/path-bytes.ts";
import { noFiles, type Artifact, type FailureGroup, type FileCounts, type LabelCount } from "../contract/run-record.ts";
import type { LineResult } from "../contract/result-line.ts";
import { AttemptTable } from "./attempts.ts";
import type { StoreDatabase } from "./database.ts";
import { loadArtifacts, loadFailureGroups, loadFigures } from "./file-figures.ts";
import { fileColumns, fromFileRow, toFileRow, unindexedEpoch, type FileRow } from "./file-row.ts";
import { loadInferences, loadLabels, loadLines } from "./inferences.ts";
import type { Schema } from "./schema.ts";
import type { FileFigures, FileQuery, FileTable, RefusedResult } from "./store.ts";

/** Paths in one statement. */
const PATHS_AT_ONCE = 500;
/** Rows in one step of a stream; with logs of some kilobytes each, a few megabytes. */
const STREAM_ROWS = 500;

/** In a form that keeps both planners from taking their index where the key `(run_id, path)` is better. */
const unindexedOutcome = sql<string>`${sql.ref("outcome")} || ''`;

/** The place of each row's input in this epoch, by its path. */
function placeOf(paths: readonly string[], places: ReadonlyMap<string, number>): RawBuilder<number> {
  const cases = paths.map((path) => sql`when ${path} then cast(${places.get(path) ?? 0} as integer)`);
  return sql<number>`case path ${sql.join(cases, sql` `)} else file_index end`;
}

export class SqlFileTable implements FileTable {
  readonly #database: StoreDatabase;
  readonly #attempts: AttemptTable;

  constructor(database: StoreDatabase) {
    this.#database = database;
    this.#attempts = new AttemptTable(database);
  }

  async record(runId: string, epoch: number, results: readonly FileResult[]): Promise<RefusedResult[]> {
    if (results.length === 0) return [];
    const { rows, late } = onePerPath(results.map((result) => toFileRow(runId, epoch, result)));
    const refused = await this.#database.recordRows(runId, rows);
    if (refused === undefined) throw new NotFoundError("run", runId);
    const paths = [...refused, ...late];
    if (paths.length === 0) return [];
    const holders = await this.get(
      runId,
      [...new Set(paths)].map((path) => pathFromPrintable(path)),
    );
    const workers = new Map(holders.map((holder) => [holder.path, holder.workerId]));
    return paths.map((path) => pathFromPrintable(path)).map((path) => ({ path, workerId: workers.get(path) ?? null }));
  }

  async reuse(runId: string, epoch: number, files: readonly Pick<FileResult, "path" | "index">[]): Promise<void> {
    if (files.length === 0) return;
    const places = new Map(files.map(({ path, index }) => [printablePath(path), index]));
    // In one order, as all writers have it.
    const ordered = [...places.keys()].toSorted();
    await this.#database.transact(async (transaction) => {
      for (const some of slices(ordered, PATHS_AT_ONCE)) {
        await transaction
          .updateTable("file_results")
          .set({ epoch, file_index: placeOf(some, places) })
          .where("run_id", "=", runId)
          .where("path", "in", some)
          .where(unindexedEpoch, "<", epoch)
          .execute();
      }
    });
  }

  async get(runId: string, paths: readonly string[]): Promise<(FileResult & { readonly epoch: number })[]> {
    const stored = [...new Set(paths.map(printablePath))];
    const found = new Map<string, FileRow>();
    for (const some of slices(stored, PATHS_AT_ONCE)) {
      const rows = await this.#database.read
        .selectFrom("file_results")
        .select(fileColumns)
        .where("run_id", "=", runId)
        .where("path", "in", some)
        .execute();
      for (const row of rows) found.set(row.path, row);
    }
    return stored.flatMap((path) => {
      const row = found.get(path);
      return row === undefined ? [] : [{ ...fromFileRow(row), epoch: row.epoch }];
    });
  }

  async lastIndex(runId: string): Promise<number | undefined> {
    const row = await this.#database.read
      .selectFrom("file_results")
      .select((eb) => eb.fn.max("file_index").as("last"))
      .where("run_id", "=", runId)
      .executeTakeFirst();
    // An engine answers with a row of nothing where there is none.
    const last = row?.last as number | null | undefined;
    return last ?? undefined;
  }

  addAttempts(runId: string, epoch: number, attempts: readonly AttemptRecord[]): Promise<void> {
    return this.#attempts.add(runId, epoch, attempts);
  }

  attempts(
    runId: string,
    query: { limit: number; path?: string },
  ): Promise<(AttemptRecord & { readonly epoch: number })[]> {
    return this.#attempts.list(runId, query);
  }

  async page(runId: string, epoch: number, query: FileQuery): Promise<FileResult[]> {
    const { outcome, search, afterPath } = query;
    let rows = this.#database.read.selectFrom("file_results").select(fileColumns).where("run_id", "=", runId);
    if (outcome === undefined || outcome === "succeeded") {
      // Most rows are of this kind, so the walk along the key finds a page at once.
      rows = rows.where(unindexedEpoch, "=", epoch);
      if (outcome !== undefined) rows = rows.where(unindexedOutcome, "=", outcome);
    } else {
      // The second condition is the one of the partial index.
      rows = rows.where("epoch", "=", epoch).where("outcome", "=", outcome);
      rows = rows.where("outcome", "!=", sql.lit("succeeded"));
    }
    if (afterPath !== undefined) rows = rows.where("path", ">", printablePath(afterPath));
    if (search !== undefined && search !== "") rows = rows.where((eb) => this.#matches(eb, search));
    return (await rows.orderBy("path").limit(query.limit).execute()).map(fromFileRow);
  }

  async *all(runId: string, epoch: number): AsyncGenerator<FileResult, void, undefined> {
    let afterPath: string | undefined;
    for (;;) {
      const rows = await this.page(runId, epoch, {
        limit: STREAM_ROWS,
        ...(afterPath !== undefined && { afterPath }),
      });
      yield* rows;
      afterPath = rows.at(-1)?.path;
      if (rows.length < STREAM_ROWS) return;
    }
  }

  async counts(runId: string, epoch: number): Promise<FileCounts> {
    const rows = await this.#database.read
      .selectFrom("file_results")
      .select((eb) => ["outcome", eb.fn.countAll<number>().as("files")])
      .where("run_id", "=", runId)
      .where("epoch", "=", epoch)
      .groupBy("outcome")
      .execute();
    const counts = { ...noFiles };
    for (const { outcome, files } of rows) {
      counts[outcome] = files;
      counts.total += files;
    }
    return counts;
  }

  failureGroups(runId: string, epoch: number, limit: number): Promise<FailureGroup[]> {
    return loadFailureGroups(this.#database.read, { runId, epoch }, limit);
  }

  figures(runId: string, epoch: number): Promise<FileFigures> {
    return loadFigures(this.#database.read, { runId, epoch });
  }

  async inferences(runId: string, epoch: number, query: InferenceQuery): Promise<FileResult[]> {
    return (await loadInferences(this.#database, { runId, epoch }, query)).map(fromFileRow);
  }

  lines(runId: string, epoch: number): AsyncIterable<LineResult> {
    return loadLines(this.#database, { runId, epoch });
  }

  labels(runId: string, epoch: number, limit: number): Promise<LabelCount[]> {
    return loadLabels(this.#database, { runId, epoch }, limit);
  }

  artifacts(runId: string, epoch: number, limit: number): Promise<Artifact[]> {
    return loadArtifacts(this.#database.read, { runId, epoch }, limit);
  }

  #matches(eb: ExpressionBuilder<Schema, "file_results">, search: string) {
    return eb.or([
      this.#database.contains(eb.ref("path"), printablePath(search)),
      this.#database.contains(eb.ref("message"), search),
    ]);
  }
}

/** What one row after another would have come to: the first success of a path, else its last result. */
function onePerPath(rows: readonly FileRow[]): { rows: FileRow[]; late: string[] } {
  const byPath = new Map<string, FileRow>();
  const late: string[] = [];
  for (const row of rows) {
    if (byPath.get(row.path)?.outcome === "succeeded") late.push(row.path);
    else byPath.set(row.path, row);
  }
  return { rows: [...byPath.values()], late };
}

function* slices<T>(items: readonly T[], size: number): Generator<T[], void, undefined> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
