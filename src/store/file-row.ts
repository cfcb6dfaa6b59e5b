/** A file result as a row, and back. */
import { sql } from "kysely";
import type { AgentUsage } from "../contract/agents.ts";
import type { FileResult, KeptFile } from "../contract/files.ts";
import type { FileInference } from "../contract/inference.ts";
import { pathFromPrintable, printablePath } from "../contract/path-bytes.ts";
import type { LineResult } from "../contract/result-line.ts";
import type { FileResultsTable } from "./schema.ts";
import { cleanOrNull } from "./stored-text.ts";

export type FileRow = FileResultsTable;

/** Every column, in the order in which rows are written. */
export const fileColumns = [
  "run_id",
  "path",
  "epoch",
  "ran_epoch",
  "file_index",
  "outcome",
  "failure_class",
  "message",
  "exit_code",
  "signal",
  "attempts",
  "started_at_ms",
  "duration_ms",
  "cpu_ms",
  "peak_bytes",
  "input_bytes",
  "input_sha256",
  "binary_sha256",
  "args_sha256",
  "output_path",
  "output_bytes",
  "output_sha256",
  "log",
  "worker_id",
  "label",
  "confidence",
  "inference",
  "agent",
  "transcript",
] as const satisfies readonly (keyof FileRow)[];

/** In a form that keeps both planners from taking its index where the key `(run_id, path)` is better. */
export const unindexedEpoch = sql<number>`+${sql.ref("epoch")}`;

/** What of a row is in a line of results. */
export const lineColumns = [
  "path",
  "outcome",
  "failure_class",
  "message",
  "input_bytes",
  "input_sha256",
  "label",
  "confidence",
  "inference",
] as const satisfies readonly (keyof FileRow)[];

export function fromLineRow(row: Pick<FileRow, (typeof lineColumns)[number]>): LineResult {
  return {
    path: pathFromPrintable(row.path),
    outcome: row.outcome,
    failureClass: row.failure_class,
    message: row.message,
    inputBytes: row.input_bytes,
    inputSha256: row.input_sha256,
    ...inferenceOf(row),
  };
}

export function toFileRow(runId: string, epoch: number, result: FileResult): FileRow {
  return {
    run_id: runId,
    path: printablePath(result.path),
    epoch,
    ran_epoch: epoch,
    file_index: result.index,
    outcome: result.outcome,
    failure_class: result.failureClass,
    message: cleanOrNull(result.message),
    exit_code: result.exitCode,
    signal: cleanOrNull(result.signal),
    attempts: result.attempts,
    started_at_ms: result.startedAtMs,
    duration_ms: result.durationMs,
    cpu_ms: result.cpuMs,
    peak_bytes: wholeOrNull(result.peakBytes),
    input_bytes: wholeOrNull(result.inputBytes),
    input_sha256: cleanOrNull(result.inputSha256),
    binary_sha256: cleanOrNull(result.binarySha256),
    args_sha256: cleanOrNull(result.argsSha256),
    output_path: result.outputPath === null ? null : printablePath(result.outputPath),
    output_bytes: wholeOrNull(result.outputBytes),
    output_sha256: cleanOrNull(result.outputSha256),
    log: cleanOrNull(result.log),
    worker_id: cleanOrNull(result.workerId),
    label: cleanOrNull(result.inference?.label ?? null),
    confidence: result.inference?.confidence ?? null,
    inference: result.inference === undefined ? null : JSON.stringify(result.inference.value),
    agent: result.agent === undefined ? null : JSON.stringify(result.agent),
    transcript:
      result.transcript === undefined
        ? null
        : JSON.stringify({ ...result.transcript, path: printablePath(result.transcript.path) }),
  };
}

export function fromFileRow(row: Omit<FileRow, "run_id" | "ran_epoch" | "epoch">): FileResult {
  return {
    index: row.file_index,
    path: pathFromPrintable(row.path),
    outcome: row.outcome,
    failureClass: row.failure_class,
    message: row.message,
    exitCode: row.exit_code,
    signal: row.signal,
    attempts: row.attempts,
    startedAtMs: row.started_at_ms,
    durationMs: row.duration_ms,
    cpuMs: row.cpu_ms,
    peakBytes: row.peak_bytes,
    inputBytes: row.input_bytes,
    inputSha256: row.input_sha256,
    binarySha256: row.binary_sha256,
    argsSha256: row.args_sha256,
    outputPath: row.output_path === null ? null : pathFromPrintable(row.output_path),
    outputBytes: row.output_bytes,
    outputSha256: row.output_sha256,
    log: row.log,
    workerId: row.worker_id,
    ...inferenceOf(row),
    ...(row.agent !== null && { agent: JSON.parse(row.agent) as AgentUsage }),
    ...(row.transcript !== null && { transcript: transcriptOf(row.transcript) }),
  };
}

function transcriptOf(json: string): KeptFile {
  const kept = JSON.parse(json) as KeptFile;
  return { ...kept, path: pathFromPrintable(kept.path) };
}

function inferenceOf({
  label,
  confidence,
  inference,
}: Pick<FileRow, "label" | "confidence" | "inference">): Pick<FileResult, "inference"> {
  if (inference === null) return {};
  return { inference: { label, confidence, value: JSON.parse(inference) as FileInference["value"] } };
}

function wholeOrNull(bytes: number | null): number | null {
  return bytes === null ? null : Math.round(bytes);
}
