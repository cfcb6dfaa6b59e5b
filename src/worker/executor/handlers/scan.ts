/**
 * Walks the input of a run and adds its chunks below the run's root, while this job is itself active, so the root cannot
 * start early. It stops adding while a window of chunks waits, so Redis and memory stay flat whatever the input holds.
 *
 * A scan that is started again (its worker was lost) walks from the beginning and leaves out what has a row or waits in a
 * chunk already.
 */
import type { Redis } from "ioredis";
import { isPassing, LeaseLostError, lineOf, messageOf, PolicyError } from "../../../contract/errors.ts";
import { Chunker } from "../../../contract/chunking.ts";
import { unrunResult, type FileEntry, type FileResult } from "../../../contract/files.ts";
import { isChunkJob, jobs } from "../../../contract/jobs.ts";
import type { Clock } from "../../../platform/clock.ts";
import type { ChunkToAdd, JobQueues, RunRef } from "../../../platform/job-queues.ts";
import type { LiveRun, RunHash } from "../../../platform/run-hash.ts";
import type { PolicyGate } from "../../../platform/policy-gate.ts";
import type { Logger } from "../../../platform/logger.ts";
import { FileChooser } from "../../../platform/scan/choose-files.ts";
import { BATCH_FILES, isScannedFile, type ScanBatch, type ScanProblem } from "../../../platform/scan/scan-batch.ts";
import { openSource } from "../../../platform/scan/source.ts";
import { breakRun } from "../../../platform/cancel-run.ts";
import type { Store } from "../../../store/store.ts";
import { HandBack } from "../../lane.ts";
import type { LearnedRuns } from "../../governor/learned-runs.ts";
import type { LargestJob } from "../../largest-job.ts";
import { memoryNeed } from "../../memory-need.ts";
import type { OutputClaims } from "../../output-claims.ts";
import type { RunCache } from "../../run-cache.ts";
import { NumberedInputs } from "../numbered-inputs.ts";
import { RunCancelled, type Handler, type JobContext } from "../executor.ts";
import { checkMaxFailures } from "../failure-limit.ts";
import { waitForRoom, type RoomWaitDeps } from "../room-wait.ts";
import { ADD_CHUNKS, ScanWindow } from "../scan-window.ts";

export interface ScanDeps extends RoomWaitDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly runs: RunCache;
  readonly hash: RunHash;
  readonly queues: JobQueues;
  readonly gate: PolicyGate;
  readonly claims: OutputClaims;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tells what files of this run take, as far as is known by now. */
  readonly learned: Pick<LearnedRuns, "ready" | "refresh" | "costOf" | "isTimed" | "isUnknown" | "chunkBytes">;
  readonly largestJob: LargestJob;
}

const WINDOW_POLL_MS = 15;
const WINDOW_MAX_POLL_MS = 250;
const RETRY_MS = 1_000;
/** How often a scan asks whether its run was cancelled. */
const CANCEL_CHECK_MS = 500;
/** For so long after a look at its lease a scan goes on without another one. */
const LEASE_KEPT_MS = 250;

export function createScanHandler(deps: ScanDeps): Handler<"scan"> {
  return async (payload, context) => {
    const { run, isWanted } = await deps.runs.open(payload.runId, payload.epoch);
    await deps.runs.ensureRow(run);
    if (!isWanted) return;
    if (deps.gate.writeFault(run.spec.output.root) === undefined) {
      await waitForRoom(deps, run, []);
      const taken = await deps.claims.hold(run);
      if (taken !== undefined) {
        await breakRun(deps, payload.runId, taken);
        return;
      }
    }
    await deps.runs.markRunning(run);
    await deps.learned.ready(run);
    const scan = new Scan(deps, run, { ref: payload, ...context });
    try {
      await scan.run();
    } catch (error) {
      await endScan(deps, run, { error, signal: context.signal });
    }
  };
}

/** Decides what a scan that could not go on means for its run. */
async function endScan(deps: ScanDeps, run: LiveRun, end: { error: unknown; signal: AbortSignal }): Promise<void> {
  const reason: unknown = end.signal.aborted ? end.signal.reason : end.error;
  if (reason instanceof RunCancelled) return;
  if (end.signal.aborted) throw reason;
  if (reason instanceof LeaseLostError) throw reason;
  if (isPassing(reason)) throw new HandBack(messageOf(reason), RETRY_MS);
  // What is wrong with the input as a whole, or with this code, ends the run, and its report says so.
  deps.logger.error({ err: reason, runId: run.runId }, "scan failed");
  const why = reason instanceof PolicyError ? `policy: ${lineOf(reason)}` : lineOf(reason);
  await deps.hash.set(run, { broken: why, scanned: "1" });
}

type NumberedProblem = ScanProblem & { readonly index: number };

class Scan {
  readonly #deps: ScanDeps;
  readonly #run: LiveRun;
  readonly #ref: RunRef;
  readonly #signal: AbortSignal;
  readonly #chunker: Chunker;
  readonly #window: ScanWindow;
  readonly #inputs: NumberedInputs;
  readonly #job: JobContext["job"];
  readonly #token: string;
  #seen: ReadonlySet<string> = new Set();
  #ready: ChunkToAdd[] = [];
  #chunks = 0;
  /** Ids of a repeated scan's chunks must differ from those of the scan before. */
  #round = "";
  #checkedMs = 0;
  /** When it was last asked for its lease. */
  #leaseMs = 0;
  #waiting = 0;
  /** How many files are still to be measured alone, and among which. */
  #toMeasure: number;
  readonly #first: FileEntry[] = [];

  constructor(deps: ScanDeps, run: LiveRun, job: JobContext & { ref: RunRef }) {
    this.#deps = deps;
    this.#job = job.job;
    this.#token = job.token;
    this.#run = run;
    this.#ref = { runId: job.ref.runId, epoch: job.ref.epoch, traceId: job.ref.traceId };
    this.#signal = job.signal;
    this.#chunker = new Chunker(run.spec.chunk, (file) => deps.learned.costOf(run, file));
    this.#window = new ScanWindow(run, deps.learned, () => deps.clock.monotonicMs());
    this.#inputs = new NumberedInputs(deps.store.files, run);
    this.#toMeasure = run.spec.calibration?.files ?? 0;
  }

  async run(): Promise<void> {
    // Before anything of the input is looked at. What a producer has let through does not count here.
    this.#deps.gate.require(this.#run.spec);
    if (await this.#hasPredecessor()) await this.#recover();
    const { input, output } = this.#run.spec;
    const pages = this.#deps.store.inputs.pages(this.#run.runId);
    const outside = output.from === "none" ? {} : { outputRoot: output.root };
    for await (const batch of openSource(input, { pages, ...outside, signal: this.#signal })) {
      await this.#take(batch);
    }
    await this.#measureFirst();
    this.#push(this.#chunker.flush());
    await this.#add();
    await this.#deps.hash.set(this.#run, { total: this.#inputs.total, scanned: "1" });
    // What had failed before may be too much now that the number of files is known.
    await checkMaxFailures(this.#deps, this.#run);
  }

  /** Whether a scan of this epoch has been at work: this job was claimed before, or was added again. */
  async #hasPredecessor(): Promise<boolean> {
    const { runId, epoch } = this.#ref;
    if (this.#job.attemptsStarted > 1 || (await this.#deps.queues.openCount(this.#ref)) > 1) return true;
    return (await this.#deps.store.files.page(runId, epoch, { limit: 1 })).length > 0;
  }

  /** Finds out what the scan before had found. */
  async #recover(): Promise<void> {
    const seen = new Set<string>();
    const { runId, epoch } = this.#ref;
    // Twice: a chunk may end, and ask for another try of its files, between two looks of the first pass.
    await this.#seeOpen(seen);
    await this.#seeOpen(seen);
    for await (const row of this.#deps.store.files.all(runId, epoch)) seen.add(row.path);
    this.#seen = seen;
    // What the scan before had measured is known; to wait for all that it added would help nobody.
    if (seen.size > 0) this.#toMeasure = 0;
    this.#round = `s${this.#deps.clock.nowMs().toString(36)}-`;
  }

  async #seeOpen(seen: Set<string>): Promise<void> {
    for await (const open of this.#deps.queues.openJobs(this.#ref)) {
      const job = await this.#deps.queues.queue(open.queue).getJob(open.id);
      if (job === undefined || !isChunkJob(job.name)) continue;
      for (const file of jobs.exec.payload.parse(job.data).files) seen.add(file.path);
    }
  }

  async #take(batch: ScanBatch): Promise<void> {
    const files: FileEntry[] = [];
    const problems: NumberedProblem[] = [];
    // Files that were seen before claim their names all the same, or another file would take them.
    for (const entry of await this.#inputs.of(batch)) {
      if (this.#seen.has(entry.path)) continue;
      if (isScannedFile(entry)) files.push(entry);
      else problems.push(entry);
    }
    if (problems.length > 0) await this.#record(problems);
    if (this.#toMeasure === 0) await this.#chunk(files);
    else this.#first.push(...files);
    if (this.#first.length >= Math.max(BATCH_FILES, this.#toMeasure)) await this.#measureFirst();
    if (this.#waiting < ADD_CHUNKS) await this.#add();
    await this.#checkCancelled();
  }

  async #chunk(files: readonly FileEntry[]): Promise<void> {
    for (const file of files) {
      this.#push(this.#chunker.add(file));
      // Not the whole batch first: what the first chunks teach makes the later ones larger.
      if (this.#ready.length >= ADD_CHUNKS) await this.#add();
    }
  }

  /** Begins with files of different sizes among the first that were found: to look at all would keep the run waiting. */
  async #measureFirst(): Promise<void> {
    const files = this.#first.splice(0);
    const chooser = new FileChooser<FileEntry>(Math.random);
    for (const file of files) chooser.add(file);
    const alone = new Set(chooser.choose(this.#toMeasure));
    this.#toMeasure = 0;
    for (const file of alone) await this.#measureAlone(file);
    await this.#chunk(files.filter((file) => !alone.has(file)));
  }

  /** One at a time, each to its end: what the others need is learned from them. */
  async #measureAlone(file: FileEntry): Promise<void> {
    this.#push([[{ ...file, isAlone: true }]]);
    await this.#add();
    await this.#waitForWindow(() => 0);
    await this.#deps.learned.refresh(this.#run);
  }

  #push(chunks: readonly FileEntry[][]): void {
    for (const files of chunks) {
      this.#ready.push({ chunk: `${this.#round}${this.#chunks}`, files });
      this.#chunks += 1;
    }
  }

  /** Adds the chunks that are ready, a window at a time. */
  async #add(): Promise<void> {
    while (this.#ready.length > 0) {
      await this.#waitForWindow(() => this.#window.mostOpen(this.#ready.length));
      await this.#checkLease();
      // Sized now, not when they were made: the model may have learned while they waited for the window.
      const needOf = await memoryNeed(this.#deps, this.#run);
      const some = this.#ready
        .splice(0, this.#window.portion(this.#waiting))
        .map((chunk) => ({ ...chunk, memoryBytes: needOf(chunk.files) }));
      await this.#deps.queues.addChunks(this.#ref, this.#run.spec, some, () => this.#keepLease());
      this.#waiting += some.length;
      this.#window.added();
      await this.#deps.hash.count(this.#run, { chunks: some.length });
    }
    await this.#deps.hash.set(this.#run, { total: this.#inputs.total });
  }

  /** A call that waited for Redis to come back may have waited for longer than the lock lives. */
  async #keepLease(): Promise<void> {
    if (this.#deps.clock.monotonicMs() - this.#leaseMs > LEASE_KEPT_MS) await this.#checkLease();
  }

  /** A scan that was stopped past its lock must not add what the next one adds too. */
  async #checkLease(): Promise<void> {
    this.#leaseMs = this.#deps.clock.monotonicMs();
    if (await this.#deps.queues.holdsLock(this.#job.queueName, this.#job.id ?? "", this.#token)) return;
    throw new LeaseLostError(`lease of the scan of run ${this.#run.runId} is held by another worker`);
  }

  /** Waits until no more than `most` chunks are left that have not ended. */
  async #waitForWindow(most: () => number): Promise<void> {
    for (let pollMs = WINDOW_POLL_MS; this.#waiting > most(); pollMs = Math.min(pollMs * 2, WINDOW_MAX_POLL_MS)) {
      // This scan is itself below the root.
      this.#waiting = (await this.#deps.queues.openCount(this.#ref)) - 1;
      // Other workers may have measured what this one has not seen.
      if (this.#deps.learned.isUnknown(this.#run)) await this.#deps.learned.refresh(this.#run);
      if (this.#waiting <= most()) return;
      await this.#deps.clock.sleep(pollMs, this.#signal);
      await this.#checkCancelled();
    }
  }

  async #checkCancelled(): Promise<void> {
    this.#signal.throwIfAborted();
    const now = this.#deps.clock.monotonicMs();
    if (now - this.#checkedMs < CANCEL_CHECK_MS) return;
    this.#checkedMs = now;
    if (await this.#deps.runs.isCancelled(this.#run.runId, this.#run.epoch)) throw new RunCancelled(this.#run.runId);
  }

  async #record(problems: readonly NumberedProblem[]): Promise<void> {
    const results = problems.map(({ index, path, outcome, class: failureClass, message }): FileResult =>
      unrunResult({ index, path, bytes: 0 }, { outcome, failureClass, message }),
    );
    await this.#deps.store.files.record(this.#run.runId, this.#run.epoch, results);
    const failed = problems.filter((problem) => problem.outcome === "failed").length;
    await this.#deps.hash.count(this.#run, { failed, skipped: problems.length - failed });
    if (failed > 0) await checkMaxFailures(this.#deps, this.#run);
  }
}
