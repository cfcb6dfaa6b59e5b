/** What the board shows of runs and workers: the store's records with what Redis knows now. */
import type { Redis } from "ioredis";
import { NotFoundError } from "../contract/errors.ts";
import { isTerminal } from "../contract/outcomes.ts";
import type { DurationQuantiles, FailureGroup, RunRecord } from "../contract/run-record.ts";
import type { Explanation, RunStatus, WorkerHeartbeat } from "../contract/status.ts";
import type { Clock } from "../platform/clock.ts";
import { explain } from "../platform/explain.ts";
import type { RunQuery } from "../platform/http/run-queries.ts";
import type { JobQueues } from "../platform/job-queues.ts";
import { loadLiveFigures, runStatusOf } from "../platform/run-status.ts";
import { loadHeartbeats } from "../platform/worker-heartbeats.ts";
import type { Store } from "../store/store.ts";

export interface RunReaderDeps {
  readonly store: Store;
  readonly redis: Redis;
  readonly queues: JobQueues;
  readonly clock: Clock;
  /** The result of `keyPrefix`. */
  readonly prefix: string;
}

export interface RunFigures {
  readonly durationMs: DurationQuantiles | null;
  readonly peakBytes: number | null;
  readonly cpuSeconds: number;
  readonly failures: readonly FailureGroup[];
}

interface Kept {
  readonly untilMs: number;
  readonly figures: Promise<RunFigures>;
}

const MAX_FAILURE_GROUPS = 50;
/** The figures of a run that goes on are sums over all its files: they are not made anew for every page. */
const KEEP_FIGURES_MS = 10_000;
const MAX_KEPT = 100;

/** Reads for pages and API alike. */
export class RunReader {
  readonly #deps: RunReaderDeps;
  readonly #figures = new Map<string, Kept>();

  constructor(deps: RunReaderDeps) {
    this.#deps = deps;
  }

  /** @throws {NotFoundError} */
  async record(runId: string): Promise<RunRecord> {
    const run = await this.#deps.store.runs.get(runId);
    if (run === undefined) throw new NotFoundError("run", runId);
    return run;
  }

  /** @throws {NotFoundError} */
  async status(runId: string): Promise<RunStatus> {
    const [status] = await this.#withLive([await this.record(runId)]);
    if (status === undefined) throw new NotFoundError("run", runId);
    return status;
  }

  async list(query: RunQuery): Promise<RunStatus[]> {
    return this.#withLive(await this.#deps.store.runs.list(query));
  }

  workers(): Promise<WorkerHeartbeat[]> {
    return loadHeartbeats(this.#deps.redis, this.#deps.prefix);
  }

  nowMs(): number {
    return this.#deps.clock.nowMs();
  }

  /** @throws {NotFoundError} */
  explain(id: string): Promise<Explanation> {
    const { redis, prefix, queues, clock, store } = this.#deps;
    return explain(
      {
        redis,
        prefix,
        queues,
        clock,
        findRun: (runId) => store.runs.get(runId),
        findAttempts: (runId, path) => store.files.attempts(runId, { path, limit: 1_000 }),
      },
      id,
    );
  }

  /** Durations, memory and failures: from the report of an ended run, else from its files so far. */
  figures(run: RunRecord): Promise<RunFigures> {
    if (isTerminal(run.state) && run.report?.epoch === run.epoch) return Promise.resolve(run.report);
    const nowMs = this.#deps.clock.nowMs();
    const key = `${run.id}.${run.epoch}.${run.state}`;
    const kept = this.#figures.get(key);
    if (kept !== undefined && kept.untilMs > nowMs) return kept.figures;
    const figures = this.#loadFigures(run);
    this.#figures.delete(key);
    this.#figures.set(key, { untilMs: nowMs + KEEP_FIGURES_MS, figures });
    // A failure is told to who asked, and not kept.
    figures.catch(() => this.#figures.delete(key));
    const [oldest] = this.#figures.keys();
    if (this.#figures.size > MAX_KEPT && oldest !== undefined) this.#figures.delete(oldest);
    return figures;
  }

  async #loadFigures(run: RunRecord): Promise<RunFigures> {
    const { files } = this.#deps.store;
    const [figures, failures] = await Promise.all([
      files.figures(run.id, run.epoch),
      files.failureGroups(run.id, run.epoch, MAX_FAILURE_GROUPS),
    ]);
    const { durationMs, peakBytes, cpuSeconds } = figures;
    return { durationMs, peakBytes, cpuSeconds, failures };
  }

  async #withLive(runs: readonly RunRecord[]): Promise<RunStatus[]> {
    const { redis, prefix, clock } = this.#deps;
    const ids = runs.map((run) => run.id);
    const [live, workers] = await Promise.all([loadLiveFigures(redis, prefix, ids), loadHeartbeats(redis, prefix)]);
    return runs.map((run, at) => runStatusOf(run, live[at], workers, clock.nowMs()));
  }
}
