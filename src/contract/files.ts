/** Files as jobs carry them, and file results as the store keeps them. */
import { z } from "zod";
import { agentUsage } from "./agents.ts";
import { fileInference } from "./inference.ts";
import { failureClasses, outcomes } from "./outcomes.ts";

/**
 * One input file of a chunk. `path` is relative to the run's input root, with `/` between parts. Bytes of a name that
 * are not UTF-8 are carried as lone surrogates U+DC80…U+DCFF (as PEP 383 does), so a path survives JSON unchanged.
 */
export const fileEntry = z.object({
  /** Position in the order of the scan, from 0; what `{index}` becomes. */
  index: z.int().nonnegative(),
  path: z.string().min(1),
  bytes: z.int().nonnegative(),
  /** Starts that already failed, by failure class. */
  tries: z.partialRecord(z.enum(failureClasses), z.int().positive()).optional(),
  /** So many times in a row it was started where its binary, or that of a check, is not, and when that was first. */
  missing: z.object({ starts: z.int().positive(), sinceMs: z.number() }).optional(),
  /** The disk was full when its output had this many bytes: it waits until there is more room than that. */
  roomBytes: z.int().nonnegative().optional(),
  /** The most memory that was seen of its process before it was ended for memory. */
  endedAtBytes: z.number().nonnegative().optional(),
  /** Taken first by a run that calibrates, while nothing else of it runs. */
  isAlone: z.literal(true).optional(),
  /** What an agent used in its attempts before. */
  used: agentUsage.optional(),
});
export type FileEntry = Readonly<z.output<typeof fileEntry>>;

/** A published file: its path relative to the run's output root, and its digest in hex. */
export const keptFile = z.object({ path: z.string(), bytes: z.int().nonnegative(), sha256: z.string() });
export type KeptFile = Readonly<z.output<typeof keptFile>>;

/** What happened to one input file: the row of the manifest. Times in milliseconds since 1970, digests in hex. */
export const fileResult = z.object({
  index: z.int().nonnegative(),
  path: z.string(),
  outcome: z.enum(outcomes),
  failureClass: z.enum(failureClasses).nullable(),
  /** Constant text for people, where the failure was and what was expected; null on success. */
  message: z.string().nullable(),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  /** Starts of the binary for this file in this run, this one included. */
  attempts: z.int().nonnegative(),
  startedAtMs: z.number().nullable(),
  durationMs: z.number().nullable(),
  /** User and system time of the process and of the children it waited for. */
  cpuMs: z.number().nullable(),
  /** Largest resident set of the process (of one process of its tree), as the kernel counted it. */
  peakBytes: z.number().nullable(),
  inputBytes: z.number().nullable(),
  inputSha256: z.string().nullable(),
  binarySha256: z.string().nullable(),
  /**
   * SHA-256 over the argument list with its placeholders, the environment and the output rules; of a call over many files
   * that succeeded, over these and all its inputs, so that the rows of one call have one value.
   */
  argsSha256: z.string().nullable(),
  /** Relative to the run's output root. */
  outputPath: z.string().nullable(),
  outputBytes: z.number().nullable(),
  outputSha256: z.string().nullable(),
  /** Head and tail of what the process wrote to standard error (and standard output, when that is not the output). */
  log: z.string().nullable(),
  workerId: z.string().nullable(),
  /** What a model said of it; only in runs of models. */
  inference: fileInference.optional(),
  /** What an agent used, in all its attempts of this epoch; only of agents that tell. */
  agent: agentUsage.optional(),
  /** What an agent printed, where that is not its output; it stands beside that. */
  transcript: keptFile.optional(),
});
export type FileResult = Readonly<z.output<typeof fileResult>>;

/** A result that is no outcome yet, or never becomes one: an attempt that will be repeated, or a fenced late duplicate. */
export type AttemptEnd = "retried" | "fenced";
export interface AttemptRecord {
  readonly path: string;
  readonly end: AttemptEnd;
  readonly failureClass: FileResult["failureClass"];
  readonly message: string | null;
  readonly attempt: number;
  readonly atMs: number;
  readonly durationMs: number | null;
  readonly workerId: string | null;
  readonly outputSha256: string | null;
}

/** The result of a file that has no process to tell of; `why` says how it ended. */
export function unrunResult(
  file: FileEntry,
  why: Pick<FileResult, "outcome" | "failureClass" | "message">,
): FileResult {
  return {
    index: file.index,
    path: file.path,
    ...why,
    exitCode: null,
    signal: null,
    attempts: 0,
    startedAtMs: null,
    durationMs: null,
    cpuMs: null,
    peakBytes: null,
    inputBytes: file.bytes,
    inputSha256: null,
    binarySha256: null,
    argsSha256: null,
    outputPath: null,
    outputBytes: null,
    outputSha256: null,
    log: null,
    workerId: null,
  };
}

/** The result of a file that never got its turn, because its run was cancelled, or its flow's time was over: `timedOut` says why. */
export function cancelledResult(file: FileEntry, timedOut?: string): FileResult {
  const message = timedOut ?? "run was cancelled before this file was started";
  return unrunResult(file, {
    outcome: "cancelled",
    failureClass: timedOut === undefined ? "cancelled" : "timeout",
    message,
  });
}
