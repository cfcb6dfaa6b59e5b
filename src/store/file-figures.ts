/** What a report says about the rows of one epoch: sums, quantiles, failures by reason, artifacts. */
import { sql } from "kysely";
import { pathFromPrintable } from "../contract/path-bytes.ts";
import type { FailureClass } from "../contract/outcomes.ts";
import type { Artifact, DurationQuantiles, FailureGroup } from "../contract/run-record.ts";
import type { StoreQueries } from "./schema.ts";
import type { FileFigures } from "./store.ts";

export interface EpochRef {
  readonly runId: string;
  readonly epoch: number;
}

const SLOWEST_FILES = 10;
/** Of the log of an example. */
const LOG_CHARS = 300;
const EXAMPLES = 3;

export async function loadFigures(db: StoreQueries, epoch: EpochRef): Promise<FileFigures> {
  const sums = await loadSums(db, epoch);
  const artifacts = await artifactRows(db, epoch)
    .select((eb) => [eb.fn.countAll<number>().as("files"), eb.fn.sum<number | null>("output_bytes").as("bytes")])
    .executeTakeFirstOrThrow();
  const attempts = await loadAttemptCounts(db, epoch);
  return {
    durationMs: await loadQuantiles(db, epoch, sums.timed),
    peakBytes: sums.peakBytes,
    cpuSeconds: (sums.cpuMs ?? 0) / 1_000,
    inputBytes: sums.inputBytes ?? 0,
    outputBytes: sums.outputBytes ?? 0,
    reused: sums.reused,
    retries: attempts.retries,
    fenced: attempts.fenced,
    slowest: await loadSlowest(db, epoch),
    artifacts: { count: artifacts.files, bytes: artifacts.bytes ?? 0 },
  };
}

/** Most files first; groups of the same size in order of class and message. */
export async function loadFailureGroups(db: StoreQueries, epoch: EpochRef, limit: number): Promise<FailureGroup[]> {
  // Both conditions on the outcome: the second one lets the partial index in.
  const failures = rowsOf(db, epoch)
    .where("outcome", "in", ["failed", "quarantined"])
    .where("outcome", "!=", sql.lit("succeeded"));
  const groups = await failures
    .select((eb) => ["failure_class", "message", eb.fn.countAll<number>().as("files")])
    .groupBy(["failure_class", "message"])
    .orderBy("files", "desc")
    .orderBy("failure_class")
    .orderBy("message")
    .limit(limit)
    .execute();
  return Promise.all(
    groups.map(async ({ failure_class: failureClass, message, files }) => {
      const examples = await failures
        .select(["path", "log"])
        .where("failure_class", "is not distinct from", failureClass)
        .where("message", "is not distinct from", message)
        .orderBy("path")
        .limit(EXAMPLES)
        .execute();
      return {
        failureClass: failureClass ?? "none",
        message: message ?? "",
        files,
        examples: examples.map((example) => pathFromPrintable(example.path)),
        log: lastLine(examples[0]?.log ?? ""),
      };
    }),
  );
}

/** In order of the input paths. */
export async function loadArtifacts(db: StoreQueries, epoch: EpochRef, limit: number): Promise<Artifact[]> {
  const rows = await artifactRows(db, epoch)
    .select(["path", "output_path", "output_bytes", "output_sha256"])
    .orderBy("path")
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    path: pathFromPrintable(row.output_path ?? ""),
    inputPath: pathFromPrintable(row.path),
    bytes: row.output_bytes ?? 0,
    sha256: row.output_sha256 ?? "",
  }));
}

function rowsOf(db: StoreQueries, { runId, epoch }: EpochRef) {
  return db.selectFrom("file_results").where("run_id", "=", runId).where("epoch", "=", epoch);
}

/** Rows that this epoch wrote itself, for a file that was started. */
function ranRows(db: StoreQueries, epoch: EpochRef) {
  return rowsOf(db, epoch).where("ran_epoch", "=", epoch.epoch);
}

function artifactRows(db: StoreQueries, epoch: EpochRef) {
  return rowsOf(db, epoch)
    .where("outcome", "=", "succeeded")
    .where("output_path", "is not", null)
    .where("output_sha256", "is not", null);
}

function loadSums(db: StoreQueries, epoch: EpochRef) {
  return rowsOf(db, epoch)
    .select((eb) => {
      const ran = eb("ran_epoch", "=", epoch.epoch);
      return [
        eb.fn.count<number>("duration_ms").filterWhere(ran).as("timed"),
        eb.fn.max("peak_bytes").filterWhere(ran).as("peakBytes"),
        eb.fn.sum<number | null>("cpu_ms").filterWhere(ran).as("cpuMs"),
        eb.fn.sum<number | null>("input_bytes").filterWhere(ran).as("inputBytes"),
        eb.fn.sum<number | null>("output_bytes").filterWhere(ran).as("outputBytes"),
        eb.fn
          .countAll<number>()
          .filterWhere(eb.and([eb.not(ran), eb("outcome", "=", "succeeded")]))
          .as("reused"),
      ];
    })
    .executeTakeFirstOrThrow();
}

/** By nearest rank: the smallest duration that at least so many percent of the files do not exceed. */
async function loadQuantiles(db: StoreQueries, epoch: EpochRef, files: number): Promise<DurationQuantiles | null> {
  if (files === 0) return null;
  const rankOf = (percent: number) => Math.ceil((files * percent) / 100);
  const ranks = { p50: rankOf(50), p90: rankOf(90), p99: rankOf(99), max: files };
  const ranked = ranRows(db, epoch)
    .where("duration_ms", "is not", null)
    .select((eb) => [
      eb.ref("duration_ms").$notNull().as("duration_ms"),
      eb.fn
        .agg<number>("row_number")
        .over((over) => over.orderBy("duration_ms"))
        .as("place"),
    ]);
  const rows = await db
    .selectFrom(ranked.as("ranked"))
    .select(["duration_ms", "place"])
    .where("place", "in", [...new Set(Object.values(ranks))])
    .execute();
  const durations = new Map(rows.map((row) => [row.place, row.duration_ms]));
  const at = (rank: number) => durations.get(rank) ?? 0;
  return { p50: at(ranks.p50), p90: at(ranks.p90), p99: at(ranks.p99), max: at(ranks.max) };
}

async function loadSlowest(db: StoreQueries, epoch: EpochRef): Promise<FileFigures["slowest"]> {
  const rows = await ranRows(db, epoch)
    .where("duration_ms", "is not", null)
    .select(["path", "duration_ms", "peak_bytes"])
    .orderBy("duration_ms", "desc")
    .orderBy("path")
    .limit(SLOWEST_FILES)
    .execute();
  return rows.map((row) => ({
    path: pathFromPrintable(row.path),
    durationMs: row.duration_ms,
    peakBytes: row.peak_bytes,
  }));
}

async function loadAttemptCounts(
  db: StoreQueries,
  { runId, epoch }: EpochRef,
): Promise<Pick<FileFigures, "retries" | "fenced">> {
  const rows = await db
    .selectFrom("attempts")
    .select((eb) => ["kind", "failure_class", eb.fn.countAll<number>().as("attempts")])
    .where("run_id", "=", runId)
    .where("epoch", "=", epoch)
    .groupBy(["kind", "failure_class"])
    .execute();
  const retries: Partial<Record<FailureClass, number>> = {};
  let fenced = 0;
  for (const row of rows) {
    if (row.kind === "fenced") fenced += row.attempts;
    else if (row.failure_class !== null) retries[row.failure_class] = row.attempts;
  }
  return { retries, fenced };
}

/** The last line that says something, shortened to what fits beside a message; null without one. */
function lastLine(log: string): string | null {
  const line = log.trimEnd().split("\n").at(-1)?.trim() ?? "";
  return line === "" ? null : line.slice(0, LOG_CHARS);
}
