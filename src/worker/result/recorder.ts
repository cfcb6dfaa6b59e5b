/**
 * Turns what happened to the files of one chunk into rows, counters and retries. Rows are written in batches while the
 * chunk goes on; a store that is down is waited for as long as the lease holds, since the outputs are published already
 * and the journal would only have to adopt them again.
 */
import { LeaseLostError, messageOf } from "../../contract/errors.ts";
import type { AttemptRecord, FileEntry, FileResult } from "../../contract/files.ts";
import { QUARANTINE_AFTER_CRASHES, type FailureClass, type Outcome } from "../../contract/outcomes.ts";
import { keys } from "../../contract/queues.ts";
import { crashDigest, forgiveCrashes } from "../../platform/crash-digest.ts";
import type { LiveRun, RunHash } from "../../platform/run-hash.ts";
import type { Logger } from "../../platform/logger.ts";
import type { RunCache } from "../run-cache.ts";
import type { Store } from "../../store/store.ts";
import { argsSha256 } from "./digests.ts";
import type { Fence } from "./fence.ts";
import { isMissedForLong, missedSoFar, MissingBinaries, type MissingDeps } from "./missing-binaries.ts";
import { decideRetry } from "./outcome.ts";
import type { AttemptResult } from "./room.ts";

export interface RecorderDeps extends MissingDeps {
  readonly store: Store;
  readonly hash: RunHash;
  readonly runs: Pick<RunCache, "ensureRow">;
  readonly logger: Logger;
  readonly random: () => number;
  /** Memory that a process over this file is expected to take. */
  expectedBytes(run: LiveRun, entry: FileEntry): number;
  /** For metrics: a file has its outcome, a file will be tried again, a late duplicate was refused. */
  onOutcome(result: FileResult, run: LiveRun): void;
  onRetry(failureClass: FailureClass): void;
  onFenced(count: number): void;
}

/** A file that will be tried again, in a later chunk. */
export interface RetryFile {
  readonly entry: FileEntry;
  readonly delayMs: number;
}

/** How often a disk without room is looked at. */
export const ROOM_PAUSE_MS = 5_000;
const FLUSH_FILES = 500;
const FLUSH_MS = 200;
const STORE_PAUSE_MS = 500;
/** Of what a process that failed said, so much of its end is in the log. */
const SAID_CHARS = 2_000;

export class Recorder {
  readonly retries: RetryFile[] = [];
  readonly #deps: RecorderDeps;
  readonly #run: LiveRun;
  readonly #fence: Fence;
  readonly #signal: AbortSignal;
  readonly #entries: ReadonlyMap<string, FileEntry>;
  readonly #crashes: Map<string, number>;
  readonly #missing: MissingBinaries;
  #rows: FileResult[] = [];
  #attempts: AttemptRecord[] = [];
  /** Files that ended and will be tried again: whoever is lost from now on, they did not run then. */
  #ended: number[] = [];
  #lastFlushMs: number;
  #flushing: Promise<void> = Promise.resolve();
  #failed = 0;

  constructor(
    deps: RecorderDeps,
    run: LiveRun,
    chunk: { fence: Fence; signal: AbortSignal; files: readonly FileEntry[]; crashes: ReadonlyMap<string, number> },
  ) {
    this.#deps = deps;
    this.#run = run;
    this.#fence = chunk.fence;
    this.#signal = chunk.signal;
    this.#entries = new Map(chunk.files.map((file) => [file.path, file]));
    this.#crashes = new Map(chunk.crashes);
    this.#missing = new MissingBinaries(deps, run);
    this.#lastFlushMs = deps.clock.monotonicMs();
  }

  /** How many files of this chunk failed for good. */
  get failedCount(): number {
    return this.#failed;
  }

  /** Takes results of attempts. */
  async add(results: readonly AttemptResult[]): Promise<void> {
    for (const result of results) {
      if (result.outcome === "failed" && result.failureClass !== null) {
        if (isLeaseLost(this.#signal)) this.#late(result);
        else await this.#failedAttempt(result, result.failureClass);
      } else this.#final(result);
    }
    const isDue = this.#deps.clock.monotonicMs() - this.#lastFlushMs >= FLUSH_MS;
    if (this.#rows.length + this.#attempts.length >= FLUSH_FILES || isDue) await this.flush();
  }

  /** Late duplicates that the fence did not let through. */
  fenced(results: readonly { path: string; outputSha256: string | null }[], workerId: string): void {
    const atMs = this.#deps.clock.nowMs();
    for (const { path, outputSha256 } of results) {
      this.#attempts.push({
        path,
        end: "fenced",
        failureClass: "node-lost",
        message: "another worker holds the lease of this file by now; its output was not published",
        attempt: 1,
        atMs,
        durationMs: null,
        workerId,
        outputSha256,
      });
    }
    if (results.length > 0) this.#deps.onFenced(results.length);
  }

  /** Files whose rows of an older epoch still hold. */
  async reused(paths: readonly string[]): Promise<void> {
    const files = paths.flatMap((path) => this.#entries.get(path) ?? []);
    await this.#persist(() => this.#deps.store.files.reuse(this.#run.runId, this.#run.epoch, files));
    await this.#deps.hash.count(this.#run, { succeeded: paths.length, reused: paths.length });
  }

  /** Resolves when everything taken so far is in the store. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#write());
    return this.#flushing;
  }

  /** What failed here after another worker took over says nothing of the file: its temporary file may have been removed. */
  #late(result: FileResult): void {
    this.#attempts.push({ ...attemptOf(result, result.failureClass, this.#deps.clock.nowMs()), end: "fenced" });
    this.#deps.onFenced(1);
  }

  async #failedAttempt(result: AttemptResult, failureClass: FailureClass): Promise<void> {
    const entry = this.#entries.get(result.path);
    if (entry !== undefined && result.roomBytes !== undefined) {
      this.#putOff(entry, result, result.roomBytes);
      return;
    }
    if (failureClass === "signal" && (await this.#countCrash(result)) >= QUARANTINE_AFTER_CRASHES) {
      this.#final({
        ...result,
        outcome: "quarantined",
        message: `${result.message ?? "crashed"}; crashed ${QUARANTINE_AFTER_CRASHES} times`,
      });
      return;
    }
    const tries = (entry?.tries?.[failureClass] ?? 0) + 1;
    const decision = decideRetry(failureClass, tries, this.#run.spec.retry, this.#deps.random);
    if (entry === undefined || !decision.retry) {
      this.#final(result);
      return;
    }
    const missing = missedSoFar(entry.missing, result.missingBinary, this.#deps.clock.nowMs());
    if (await this.#isNowhere(result, missing)) {
      this.#final(withoutWorker(result));
      return;
    }
    this.#again({ ...entry, missing }, result, failureClass, { tries, delayMs: decision.delayMs });
  }

  #again(
    entry: FileEntry,
    result: FileResult,
    failureClass: FailureClass,
    { tries, delayMs }: { readonly tries: number; readonly delayMs: number },
  ): void {
    this.#deps.onRetry(failureClass);
    const { path, message } = result;
    const fields = { runId: this.#run.runId, path, failureClass, message, tries, delayMs };
    this.#deps.logger.info(fields, "file will be tried again");
    this.#attempts.push(attemptOf(result, failureClass, this.#deps.clock.nowMs()));
    this.#ended.push(result.index);
    this.retries.push({
      entry: {
        ...entry,
        tries: { ...entry.tries, [failureClass]: tries },
        ...usedOf(result),
        ...(failureClass === "out-of-memory" && { endedAtBytes: this.#endedAtBytes(result, entry) }),
      },
      delayMs,
    });
  }

  /** Whether no worker has the binary, seen often enough; a rule that the run brings stands. */
  async #isNowhere({ missingBinary, workerId }: AttemptResult, missing: FileEntry["missing"]): Promise<boolean> {
    if (missingBinary === undefined || missing === undefined || workerId === null) return false;
    const isNowhere = await this.#missing.isNowhere(missingBinary, workerId);
    const isForLong = isMissedForLong(missing, this.#deps.clock.nowMs());
    return isNowhere && isForLong && this.#run.spec.retry.infrastructure === undefined;
  }

  /** The disk is full, and that is nobody's failed attempt: the file waits for room, however long that takes. */
  #putOff(entry: FileEntry, result: FileResult, roomBytes: number): void {
    this.#deps.onRetry("infrastructure");
    const { path, message } = result;
    this.#deps.logger.info({ runId: this.#run.runId, path, message, roomBytes }, "file waits for room on the disk");
    this.#attempts.push(attemptOf(result, "infrastructure", this.#deps.clock.nowMs()));
    this.#ended.push(result.index);
    const most = Math.max(roomBytes, entry.roomBytes ?? 0);
    this.retries.push({
      entry: { ...entry, missing: undefined, roomBytes: most, ...usedOf(result) },
      delayMs: ROOM_PAUSE_MS,
    });
  }

  /** What it was seen to use; where nobody saw it, all that it was expected to use was too little. */
  #endedAtBytes({ peakBytes }: FileResult, entry: FileEntry): number {
    return Math.max(entry.endedAtBytes ?? 0, peakBytes ?? this.#deps.expectedBytes(this.#run, entry));
  }

  async #countCrash(result: FileResult): Promise<number> {
    const digest = crashDigest(result);
    if (digest === undefined) return 0;
    const count = await this.#deps.redis.hincrby(keys.crashes(this.#deps.kp), digest, 1);
    this.#crashes.set(digest, count);
    return count;
  }

  #final(result: FileResult): void {
    const { path, outcome, failureClass, message, exitCode, signal, durationMs, attempts, log } = result;
    const fields = { runId: this.#run.runId, path, outcome, exitCode, durationMs, attempts };
    if (outcome === "succeeded") this.#deps.logger.debug({ ...fields, said: log ?? undefined }, "file ended");
    else
      this.#deps.logger.info({ ...fields, failureClass, message, signal, said: log?.slice(-SAID_CHARS) }, "file ended");
    if (result.outcome === "failed" || result.outcome === "quarantined") this.#failed += 1;
    this.#rows.push(result);
    if (this.#crashes.size > 0 && result.outcome === "succeeded") void this.#forgiveCrash(result);
  }

  /** A file that went well was not to blame for the crashes before. */
  async #forgiveCrash(result: FileResult): Promise<void> {
    // The row of one call over many files names them all; a crash was counted for this file alone.
    const { spec } = this.#run;
    const digest = crashDigest(spec.perChunk ? { ...result, argsSha256: argsSha256(spec) } : result);
    if (digest === undefined || !this.#crashes.delete(digest)) return;
    await forgiveCrashes(this.#deps.redis, this.#deps.kp, [digest]).catch((error: unknown) => {
      this.#deps.logger.warn({ err: error }, "crash count could not be cleared");
    });
  }

  async #write(): Promise<void> {
    const { runId, epoch } = this.#run;
    const rows = this.#rows;
    const attempts = this.#attempts;
    const ended = this.#ended;
    this.#rows = [];
    this.#attempts = [];
    this.#ended = [];
    this.#lastFlushMs = this.#deps.clock.monotonicMs();
    // Its producer may have died before it told the store, and not every result comes of a file that was begun.
    if (rows.length + attempts.length > 0) await this.#persist(() => this.#deps.runs.ensureRow(this.#run));
    if (rows.length > 0) {
      const refused = await this.#persist(() => this.#deps.store.files.record(runId, epoch, rows));
      const refusedPaths = new Set(refused.map((row) => row.path));
      const late = rows.filter((row) => refusedPaths.has(row.path));
      for (const row of late)
        attempts.push({ ...attemptOf(row, row.failureClass, this.#deps.clock.nowMs()), end: "fenced" });
      if (late.length > 0) this.#deps.onFenced(late.length);
      await this.#settle(rows, refusedPaths);
    }
    if (attempts.length === 0) return;
    const isHeld = this.#run.spec.executor !== "process" || (await this.#fence.settle(ended));
    const told = isHeld ? attempts : attempts.map((attempt): AttemptRecord => ({ ...attempt, end: "fenced" }));
    await this.#persist(() => this.#deps.store.files.addAttempts(runId, epoch, told));
    const retried = told.filter((attempt) => attempt.end === "retried").length;
    if (retried > 0) await this.#deps.hash.count(this.#run, { retried });
  }

  async #settle(rows: readonly FileResult[], refused: ReadonlySet<string>): Promise<void> {
    const counts: Partial<Record<Outcome, number>> = {};
    for (const row of rows) {
      if (refused.has(row.path)) continue;
      counts[row.outcome] = (counts[row.outcome] ?? 0) + 1;
      this.#deps.onOutcome(row, this.#run);
    }
    await this.#deps.hash.count(this.#run, counts);
    if (this.#run.spec.executor === "process") await this.#fence.settle(rows.map((row) => row.index));
  }

  /** Repeats a write until the store takes it, the lease is lost or the run ends. */
  async #persist<T>(write: () => Promise<T>): Promise<T> {
    for (let round = 0; ; round += 1) {
      try {
        return await write();
      } catch (error) {
        if (this.#signal.aborted || !isRetryable(error)) throw error;
        this.#deps.logger.warn(
          { runId: this.#run.runId, round, reason: messageOf(error) },
          "store does not take results, trying again",
        );
        await this.#deps.clock.sleep(Math.min(10_000, STORE_PAUSE_MS * 2 ** Math.min(round, 5)), this.#signal);
      }
    }
  }
}

function withoutWorker(result: FileResult): FileResult {
  return { ...result, message: `${result.message ?? ""}; no live worker has it` };
}

function isRetryable(error: unknown): boolean {
  return error instanceof Error && "retryable" in error && error.retryable === true;
}

function isLeaseLost(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason instanceof LeaseLostError;
}

function attemptOf(result: FileResult, failureClass: FailureClass | null, atMs: number): AttemptRecord {
  return {
    path: result.path,
    end: "retried",
    failureClass,
    message: result.message,
    attempt: result.attempts,
    atMs,
    durationMs: result.durationMs,
    workerId: result.workerId,
    outputSha256: result.outputSha256,
  };
}

/** What the next attempt of an agent goes on counting from. */
function usedOf({ agent }: FileResult): Pick<FileEntry, "used"> {
  return agent === undefined ? {} : { used: agent };
}
