/** Runs the binary over the files of one chunk: plan, run, record, ask again for what is worth another try. */
import { ConflictError, LeaseLostError } from "../../../contract/errors.ts";
import { cancelledResult, type FileEntry, type FileResult } from "../../../contract/files.ts";
import type { ChunkJobName, Payload } from "../../../contract/jobs.ts";
import { breakRun } from "../../../platform/cancel-run.ts";
import type { ChunkToAdd } from "../../../platform/job-queues.ts";
import type { RunSpec } from "../../../contract/run-spec.ts";
import type { LiveRun } from "../../../platform/run-hash.ts";
import { withTrace } from "../../../platform/trace.ts";
import { HandBack } from "../../lane.ts";
import { loadBlame, planChunk, type ChunkPlan } from "../../result/chunk-plan.ts";
import { nothingRan, type AttemptEvents, type ExecDeps, type Opened } from "./exec-deps.ts";
import { Fence } from "../../result/fence.ts";
import { Recorder, type RetryFile } from "../../result/recorder.ts";
import { decideStart, lossesOf } from "../../result/suspicion.ts";
import type { WrittenCalls } from "../../flow-runs.ts";
import type { ChunkEnd, ChunkEvents, ChunkRequest } from "../chunk-request.ts";
import { runCalls } from "../run-calls.ts";
import { kindsOf, refuseFiles } from "./chunk-rules.ts";
import { RunCancelled, type Handler, type JobContext } from "../executor.ts";
import { checkMaxFailures } from "../failure-limit.ts";
import { memoryNeed, outgrownNeed } from "../../memory-need.ts";
import { restoreChunks, retryAlone, retryChunks } from "../retry-chunks.ts";
import { waitForRoom } from "../room-wait.ts";
import { Solitude } from "../solitude.ts";

const RERUN_MS = 1_000;

/** The handler of jobs over files; `deps.runner` says what is done with them. */
export function createChunkHandler(deps: ExecDeps): Handler<ChunkJobName> {
  const solitude = new Solitude((isWanted) => {
    deps.onSolitude(isWanted);
  });
  const startedMs = deps.clock.monotonicMs();
  const worker = { solitude, upMs: () => deps.clock.monotonicMs() - startedMs };
  return async (payload, context) => {
    const attempt = new ChunkAttempt({ ...deps, ...worker }, payload, context);
    await attempt.run();
    await deps.flows.endCalls(payload, attempt.written);
  };
}

interface AttemptDeps extends ExecDeps {
  readonly solitude: Solitude;
  /** How long this worker has been up. */
  readonly upMs: () => number;
}

class ChunkAttempt {
  /** Rows of nodes that were written now: who moves their flow on need not read them again. */
  readonly #calls: FileResult[] = [];
  /** Of a job of a flow: what its nodes run. */
  #specs: ReadonlyMap<string, RunSpec> | undefined;
  readonly #deps: AttemptDeps;
  readonly #payload: Payload<ChunkJobName>;
  readonly #context: JobContext;
  readonly #jobId: string;
  readonly #fence: Fence;
  /** Aborted with the job, or when the fence finds the lease gone. */
  readonly #abort = new AbortController();

  constructor(deps: AttemptDeps, payload: Payload<ChunkJobName>, context: JobContext) {
    this.#deps = deps;
    this.#payload = payload;
    this.#context = context;
    this.#jobId = context.job.id ?? "";
    this.#fence = new Fence(deps.redis, deps.kp, {
      queue: context.job.queueName,
      jobId: this.#jobId,
      token: context.token,
    });
  }

  get written(): WrittenCalls {
    return { rows: this.#calls, specs: this.#specs ?? new Map() };
  }

  async run(): Promise<void> {
    const opened = await this.#open();
    if (opened === undefined) return;
    const { run, plan, recorder, isWanted } = opened;
    if (!isWanted) {
      await this.#cancelAll(recorder, plan.files);
      return;
    }
    const allowed = {
      ...plan,
      files: await refuseFiles(this.#deps.gate, recorder, kindsOf(run, plan.files, this.#specs)),
    };
    if (allowed.files.length > 0 && !(await this.#holdFolder(run, allowed, recorder))) return;
    await this.#deps.learned.ready(run);
    if (await this.#moved(run, allowed)) return;
    const about = { runId: run.runId, jobId: this.#jobId, files: plan.files.length };
    this.#deps.logger.info(about, "chunk started");
    try {
      const work = () => this.#runFiles(run, allowed, recorder);
      const end =
        allowed.files.length === 0
          ? nothingRan
          : await this.#deps.solitude.run(this.#mayStart(allowed), this.#context.signal, work);
      await this.#settle(run, allowed, recorder, end);
      const [failed, retries] = [recorder.failedCount, recorder.retries.length];
      this.#deps.logger.info({ ...about, failed, retries }, "chunk ended");
    } catch (error) {
      // This worker lives, so no file ran when a worker was lost, whatever the journal says.
      if (run.spec.executor === "process") await this.#absolve();
      throw error;
    }
  }

  /** What is left to do of the chunk; undefined when that is nothing, for its nodes have ended. */
  async #open(): Promise<Opened | undefined> {
    const { runId, epoch } = this.#payload;
    // A retry chunk may be added a second time by the next holder of the chunk that asked for it.
    const isRepeat = this.#context.job.attemptsStarted > 1 || this.#payload.chunk.includes("-");
    // Asked for together: a file waits for its start meanwhile. A repeat counts crashes of its own first.
    const [{ run: whole, isWanted }, blame, specs] = await Promise.all([
      this.#deps.runs.open(runId, epoch),
      isRepeat ? undefined : loadBlame(this.#deps.redis, this.#deps.kp),
      this.#deps.runs.load(runId, epoch).then((run) => this.#deps.flows.openSpecs(run, this.#payload.files)),
    ]);
    this.#specs = specs;
    const files = this.#payload.files.filter(({ path }) => this.#specs?.has(path) ?? true);
    const [first] = files;
    if (first === undefined) return undefined;
    const spec = this.#specs?.get(first.path);
    const run = spec === undefined ? whole : this.#deps.runs.withSpec(whole, spec);
    const mayClean = this.#deps.gate.writeFault(run.spec.output.root) === undefined;
    const plan = await planChunk(this.#deps, run, { files, fence: this.#fence, isRepeat, mayClean, blame });
    const onOutcome = (result: FileResult) => {
      // Nodes of one job need not be of one kind.
      const own = this.#specs?.get(result.path);
      this.#deps.onOutcome(result, own === undefined ? run : this.#deps.runs.withSpec(run, own));
      if (this.#specs !== undefined) this.#calls.push(result);
    };
    const { fence, signal } = { fence: this.#fence, signal: this.#abort.signal };
    const chunk = { fence, signal, files: plan.files, crashes: plan.crashes };
    return { run, plan, isWanted, recorder: new Recorder({ ...this.#deps, onOutcome }, run, chunk) };
  }

  /** Waits for room on the disk and takes the output folder; false when another run has it, which ends this one. */
  async #holdFolder(run: LiveRun, plan: ChunkPlan, recorder: Recorder): Promise<boolean> {
    await waitForRoom(this.#deps, run, plan.files);
    const taken = await this.#deps.claims.hold(run);
    if (taken === undefined) return true;
    await breakRun(this.#deps, run.runId, taken);
    await this.#cancelAll(recorder, plan.files);
    return false;
  }

  /** Puts files for which too little is reserved where they fit, before any of them is started; whether it did. */
  async #moved(run: LiveRun, plan: ChunkPlan): Promise<boolean> {
    const { files } = plan;
    const memoryBytes = await outgrownNeed(this.#deps, run, { files, queue: this.#context.job.queueName });
    if (memoryBytes === undefined) return false;
    const about = { runId: run.runId, jobId: this.#jobId, files: files.length, memoryBytes };
    this.#deps.logger.info(about, "chunk is put where more memory is reserved for it");
    await this.#retry(run, [{ chunk: `${this.#payload.chunk}-m`, files, memoryBytes }, ...restoreChunks(plan)]);
    return true;
  }

  /** How many workers were lost with each file of this chunk: those that differ in this are in chunks of their own. */
  get #losses(): number {
    return Math.max(0, ...this.#payload.files.map((file) => lossesOf(file)));
  }

  /** Whether the files are to run alone on this worker. @throws {HandBack} when they have to wait */
  #mayStart({ files, calmMs }: ChunkPlan): boolean {
    if (files.length === 0) return false;
    const start = decideStart(this.#losses, { upMs: this.#deps.upMs(), calmMs });
    if (start.kind === "start") return start.isAlone;
    throw new HandBack("files that ran when a worker was lost wait until no more are lost", start.waitMs);
  }

  async #absolve(): Promise<void> {
    try {
      await this.#fence.absolve();
    } catch (error) {
      this.#deps.logger.warn({ err: error, jobId: this.#jobId }, "files that were given back stay blamed for a crash");
    }
  }

  async #runFiles(run: LiveRun, plan: ChunkPlan, recorder: Recorder): Promise<ChunkEnd> {
    const onAbort = () => {
      this.#abort.abort(this.#context.signal.reason);
    };
    if (this.#context.signal.aborted) onAbort();
    this.#context.signal.addEventListener("abort", onAbort, { once: true });
    const startedMs = this.#deps.clock.monotonicMs();
    this.#deps.onStart(run, this.#jobId, plan.files);
    const events = this.#events(run, recorder);
    try {
      const end = await this.#runAll(
        run,
        {
          chunkId: this.#jobId,
          ...{ runId: run.runId, epoch: run.epoch },
          workerId: this.#deps.workerId,
          token: this.#context.token,
          spec: run.spec,
          files: plan.files,
          known: plan.known,
          intents: plan.intents,
          quarantined: plan.quarantined,
          suspects: new Map([...plan.losses].filter(([, losses]) => losses > this.#losses)),
          isOneByOne: plan.calmMs < Infinity,
          gpu: this.#deps.gpuOf(this.#jobId) ?? null,
          expectedMs: this.#deps.learned.expectChunk(run, plan.files).durationMs?.p50,
        },
        events,
      );
      await events.settled();
      const ms = this.#deps.clock.monotonicMs() - startedMs - (end.suspendedMs ?? 0);
      this.#deps.onChunk(run, plan.files, ms / 1_000);
      return end;
    } finally {
      this.#context.signal.removeEventListener("abort", onAbort);
      this.#deps.learned.forget(this.#jobId);
    }
  }

  #runAll(run: LiveRun, request: ChunkRequest, { of }: AttemptEvents): Promise<ChunkEnd> {
    const { runner, runs } = this.#deps;
    if (this.#specs === undefined) return runner.run(request, of(run), this.#abort.signal);
    const eventsOf = (spec: RunSpec) => of(runs.withSpec(run, spec));
    const calls = { request, specs: this.#specs, cancels: this.#context.cancels, eventsOf };
    return runCalls(runner, calls, this.#abort.signal);
  }

  #events(run: LiveRun, recorder: Recorder): AttemptEvents {
    let work: Promise<void> = Promise.resolve();
    // Events are handled in order; the first failure ends the chunk and is thrown when it settles.
    const queue = (step: () => Promise<void>) => {
      // Messages of the executor's thread come without the trace of the job that they belong to.
      work = work.then(() => withTrace(this.#payload.traceId, step));
      work.catch((error: unknown) => {
        this.#abort.abort(error);
      });
    };
    // The first file does not wait for the store; its result does, since it needs the row of its run.
    queue(() => this.#deps.runs.begin(run));
    const of = (measured: LiveRun): ChunkEvents => ({
      starting: async (files) => {
        const entries = new Map<number, unknown>(
          files.map((file) => [file.index, { p: file.path, t: file.temp, c: file.crashDigest }]),
        );
        await this.#write(entries);
      },
      mayPublish: async (items) => {
        const entries = new Map<number, unknown>(
          items.map((item) => [item.index, { p: item.path, t: item.temp, c: item.crashDigest, o: item.sha256 }]),
        );
        const isHeld = await this.#write(entries);
        // Asked by the holder of the lease alone: one that was late would claim the folder for a run that has ended.
        if (isHeld) await this.#keepFolder(run);
        else
          recorder.fenced(
            items.map((item) => ({ path: item.path, outputSha256: item.sha256 })),
            this.#deps.workerId,
          );
        return items.map(() => isHeld);
      },
      results: (results) => {
        queue(() => recorder.add(results));
      },
      reused: (paths) => {
        queue(() => recorder.reused(paths));
      },
      usage: (sample) => {
        this.#deps.onUsage(this.#jobId, sample);
        this.#deps.learned.observe(measured, this.#jobId, sample);
      },
      measured: (measure) => {
        this.#deps.onMeasured(measured, this.#jobId, measure);
      },
    });
    return { of, settled: () => work };
  }

  /** Ends the run when another one has taken its output folder: nothing more of it may appear there. */
  async #keepFolder(run: LiveRun): Promise<void> {
    const taken = await this.#deps.claims.hold(run);
    if (taken === undefined) return;
    await breakRun(this.#deps, run.runId, taken);
    this.#abort.abort(new RunCancelled(run.runId));
    throw new ConflictError(taken);
  }

  /** Writes to the journal if the lease holds; else ends this attempt. */
  async #write(entries: ReadonlyMap<number | "retry", unknown>): Promise<boolean> {
    const isHeld = await this.#fence.write(entries);
    if (!isHeld) this.#abort.abort(new LeaseLostError(`lease of job ${this.#jobId} is held by another worker`));
    return isHeld;
  }

  async #settle(run: LiveRun, plan: ChunkPlan, recorder: Recorder, end: ChunkEnd): Promise<void> {
    const reason = this.#reasonToLeave(end);
    if (reason !== undefined) {
      await recorder.flush();
      // What was to be tried again has no row: the next holder of this job starts it, with its tries counted anew.
      throw reason;
    }
    const isCancelled = this.#abort.signal.aborted;
    const cancelled = isCancelled ? [...end.notRun, ...end.postponed] : end.notRun;
    await this.#cancelAll(recorder, cancelled);
    const retries = isCancelled
      ? recorder.retries
      : [...recorder.retries, ...this.#suspects(end.postponed, plan.calmMs)];
    const split = this.#specs === undefined ? retryChunks : retryAlone;
    const again = retries.length === 0 ? [] : split(this.#payload.chunk, retries, await memoryNeed(this.#deps, run));
    const chunks = [...again, ...restoreChunks(plan)];
    if (chunks.length > 0) await this.#retry(run, chunks);
    if (recorder.failedCount > 0) await checkMaxFailures(this.#deps, run);
  }

  /** Suspects go to chunks of their own, to be started when this worker, or another, may. */
  #suspects(postponed: readonly FileEntry[], calmMs: number): RetryFile[] {
    return postponed.map((entry) => {
      const start = decideStart(lossesOf(entry), { upMs: this.#deps.upMs(), calmMs });
      return { entry, delayMs: start.kind === "wait" ? start.waitMs : 0 };
    });
  }

  /** Why this attempt leaves files without an outcome to the next one; undefined when none are left, or all are cancelled. */
  #reasonToLeave(end: ChunkEnd): Error | undefined {
    const { aborted, reason } = this.#abort.signal as { aborted: boolean; reason: unknown };
    if (aborted && reason instanceof RunCancelled) return undefined;
    if (aborted) return reason instanceof Error ? reason : new HandBack("aborted", 0);
    if (end.kind === "done" && end.error === undefined && end.notRun.length === 0) return undefined;
    return end.error ?? new HandBack("the executor did not run every file", RERUN_MS);
  }

  async #retry(run: LiveRun, chunks: readonly ChunkToAdd[]): Promise<void> {
    const ref = { runId: run.runId, epoch: run.epoch, traceId: this.#payload.traceId };
    if (!(await this.#write(new Map<number | "retry", unknown>([["retry", chunks]]))))
      throw new LeaseLostError("lease lost before the retry");
    await this.#deps.queues.addChunks(ref, run.spec, chunks);
    if (this.#specs !== undefined) await this.#deps.flows.giveTo(run, chunks, run.spec);
    await this.#deps.hash.count(run, { chunks: chunks.length });
  }

  async #cancelAll(recorder: Recorder, files: readonly FileEntry[]): Promise<void> {
    const timedOut = files.length === 0 ? undefined : (await this.#deps.hash.stage(this.#payload.runId))?.timedOut;
    await recorder.add(files.map((file) => cancelledResult(file, timedOut)));
    await recorder.flush();
  }
}
