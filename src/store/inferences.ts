/** What models said of the files of one epoch. */
import { sql } from "kysely";
import type { InferenceQuery } from "../contract/inference.ts";
import { printablePath } from "../contract/path-bytes.ts";
import type { LineResult } from "../contract/result-line.ts";
import type { LabelCount } from "../contract/run-record.ts";
import type { StoreDatabase } from "./database.ts";
import type { EpochRef } from "./file-figures.ts";
import { fileColumns, fromLineRow, lineColumns, unindexedEpoch, type FileRow } from "./file-row.ts";

/** In path order. A label is the one that the file was given, or one of several where the model gives several. */
export async function loadInferences(
  database: StoreDatabase,
  { runId, epoch }: EpochRef,
  { label, minConfidence, fields = [], afterPath, limit }: InferenceQuery,
): Promise<FileRow[]> {
  let rows = database.read
    .selectFrom("file_results")
    .select(fileColumns)
    .where("run_id", "=", runId)
    .where("epoch", "=", epoch)
    .where("inference", "is not", null);
  if (label !== undefined) {
    rows = rows.where((eb) =>
      eb.or([
        eb.and([eb("label", "=", label), eb("confidence", ">=", minConfidence ?? 0)]),
        database.namesLabel(eb.ref("inference"), label, minConfidence ?? 0),
      ]),
    );
  } else if (minConfidence !== undefined) rows = rows.where("confidence", ">=", minConfidence);
  for (const field of fields) rows = rows.where((eb) => database.answers(eb.ref("inference"), field));
  if (afterPath !== undefined) rows = rows.where("path", ">", printablePath(afterPath));
  return rows.orderBy("path").limit(limit).execute();
}

/** Rows of models are small, and a page costs a turn through the store's thread. */
const LINE_ROWS = 1_000;

/** All rows of an epoch in path order. The store reads the next page while the caller has this one. */
export async function* loadLines(
  database: StoreDatabase,
  { runId, epoch }: EpochRef,
): AsyncGenerator<LineResult, void, undefined> {
  const pageAfter = (path: string | undefined) => {
    const rows = database.read
      .selectFrom("file_results")
      .select(lineColumns)
      .where("run_id", "=", runId)
      .where(unindexedEpoch, "=", epoch);
    return (path === undefined ? rows : rows.where("path", ">", path)).orderBy("path").limit(LINE_ROWS).execute();
  };
  let page = await pageAfter(undefined);
  for (;;) {
    const next = page.length < LINE_ROWS ? undefined : pageAfter(page.at(-1)?.path);
    // A caller that stops early leaves it behind.
    next?.catch(() => undefined);
    for (const row of page) yield fromLineRow(row);
    if (next === undefined) return;
    page = await next;
  }
}

/** The most frequent first; those of the same number by name. */
export function loadLabels(database: StoreDatabase, { runId, epoch }: EpochRef, limit: number): Promise<LabelCount[]> {
  return database.read
    .selectFrom("file_results")
    .select((eb) => [sql<string>`label`.as("label"), eb.fn.countAll<number>().as("files")])
    .where("run_id", "=", runId)
    .where("epoch", "=", epoch)
    .where("label", "is not", null)
    .groupBy("label")
    .orderBy("files", "desc")
    .orderBy("label")
    .limit(limit)
    .execute();
}
