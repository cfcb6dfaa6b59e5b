/**
 * The library that other services import: enqueue runs, follow, cancel and explain them.
 *
 * ```ts
 * await using client = await createClient({ redis: "redis://127.0.0.1:6379" });
 * const { run } = await client.run({ command: ["/usr/bin/sha256sum", "{input}"], input: "/in", output: "/out" });
 * const ended = await client.wait(run.id);
 * ```
 */
import type { Redis } from "ioredis";
import { checkTemplates } from "../contract/template.ts";
import type { TaskMessage } from "../contract/agents.ts";
import { narrowAllow, taskOf, toldOf } from "../contract/task-limits.ts";
import { parseAllow } from "../contract/allow.ts";
import { ConflictError, InvalidInputError, lineOf, NotFoundError } from "../contract/errors.ts";
import { isTerminal } from "../contract/outcomes.ts";
import { DEFAULT_PREFIX, keyPrefix } from "../contract/queues.ts";
import type { RunRecord } from "../contract/run-record.ts";
import { parseRunSpec, placeIn, type RunRequest, type RunSpecInput } from "../contract/run-request.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { CancelAck, Explanation, RunStatus } from "../contract/status.ts";
import { showPath } from "../contract/schema-faults.ts";
import { requestCancel } from "../platform/cancel-run.ts";
import { systemClock, type Clock } from "../platform/clock.ts";
import { crashDigest, forgiveCrashes } from "../platform/crash-digest.ts";
import { explain } from "../platform/explain.ts";
import { JobQueues } from "../platform/job-queues.ts";
import { createLogger, type Logger } from "../platform/logger.ts";
import { closeRedis, openRedis } from "../platform/redis.ts";
import { checkRedis } from "../platform/redis-check.ts";
import { targetOfPrefix } from "../platform/redis-target.ts";
import { RunHash } from "../platform/run-hash.ts";
import { lackingForRun } from "../platform/run-fit.ts";
import { loadLiveFigures, runStatusOf } from "../platform/run-status.ts";
import { PolicyGate } from "../platform/policy-gate.ts";
import { requireGlobs } from "../platform/scan/path-filter.ts";
import { newTraceId } from "../platform/trace.ts";
import { isProcessThere, loadHeartbeats } from "../platform/worker-heartbeats.ts";
import { openStore } from "../store/open-store.ts";
import type { Store } from "../store/store.ts";
import { loadBacklog } from "./backlog.ts";
import type { Backlog, ClientPort, RunListQuery, RunOptions } from "./client-port.ts";
import { liveRecord, queuedRecord } from "./queued-record.ts";
import { FlowClient } from "./flow/flow-client.ts";
import type { ClientOptions, StreamedRunOptions } from "./client-options.ts";
import { ownRun } from "./own-run.ts";
import { followRun, type RunEvent } from "./run-events.ts";
import { ScheduleClient } from "./schedules.ts";
import { resumedSpec } from "./resumed-spec.ts";
import { RunKeys } from "./run-keys.ts";
import { claimOutput, enqueueRun, newRunId, planChunks, type PlannedChunks, type SubmitDeps } from "./submit.ts";

/** More starts of one file than any retry rule gives. */
const ATTEMPTS_SHOWN = 1_000;
const RELEASE_PAGE = 500;
const ACK_POLL_MS = 50;
const ACK_WAIT_MS = 5_000;

/**
 * Connects to a cluster. Within an agent (`HEADROOM_TASK`), its task narrows what runs may use, and they carry on its trace.
 * @throws {UnsafeRedisError} when jobs would be lost on this Redis: too old, or set to evict
 * @throws {InfrastructureError} when Redis or the store does not answer
 */
export async function createClient(options: ClientOptions): Promise<Client> {
  const task = taskOf(process.env);
  const gate = new PolicyGate(narrowAllow(parseAllow(options.allow), task));
  const logger = options.logger ?? createLogger("silent", {});
  const [target, prefix] = [options.redis, options.prefix ?? DEFAULT_PREFIX];
  const ownsRedis = typeof target === "string";
  const redis = typeof target === "string" ? openRedis(targetOfPrefix(target, prefix), "command", logger) : target;
  const ownsStore = typeof options.store === "string";
  try {
    for (const warning of (await checkRedis(redis)).warnings) logger.warn({ warning }, "redis is not set up for jobs");
    const store = typeof options.store === "string" ? await openStore(options.store, logger) : options.store;
    if (ownsStore) await store?.migrate();
    const { clock = systemClock, isEmbedded = false } = options;
    const deps = { redis, store, kp: keyPrefix(prefix), gate, logger, clock, isEmbedded, task };
    return new Client(deps, { ownsRedis, ownsStore });
  } catch (error) {
    if (ownsRedis) await closeRedis(redis);
    throw error;
  }
}

interface ClientDeps {
  readonly redis: Redis;
  readonly store: Store | undefined;
  readonly kp: string;
  readonly gate: PolicyGate;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly isEmbedded: boolean;
  /** The task of the agent within which it is: its runs carry on its trace, and their processes are told of it. */
  readonly task?: TaskMessage | undefined;
}

export class Client implements ClientPort, AsyncDisposable {
  readonly #deps: ClientDeps;
  readonly #owns: { readonly ownsRedis: boolean; readonly ownsStore: boolean };
  readonly #submit: SubmitDeps;
  readonly #keys: RunKeys;
  #schedules: ScheduleClient | undefined;

  constructor(deps: ClientDeps, owns: { readonly ownsRedis: boolean; readonly ownsStore: boolean }) {
    this.#deps = deps;
    this.#owns = owns;
    this.#submit = { ...deps, queues: new JobQueues(deps.redis, deps.kp), hash: new RunHash(deps.redis, deps.kp) };
    const findRun = (key: string, id: string) => deps.store?.runs.findByIdempotencyKey(key) ?? this.#find(id);
    this.#keys = new RunKeys({ ...deps, findRun });
  }

  async run(input: RunRequest, options: StreamedRunOptions = {}): Promise<{ run: RunRecord; created: boolean }> {
    const spec = parseRunSpec({
      ...input,
      ...toldOf(this.#deps.task, input.env),
      traceId: options.traceId ?? input.traceId ?? this.#newTraceId(),
    });
    checkTemplates(spec.command, spec.output.name);
    requireGlobs(spec.input);
    this.#deps.gate.require(spec, (path) => showPath(placeIn(input, path)));
    const id = newRunId(this.#deps.clock.nowMs());
    const earlier = await this.#claim({ id, spec, request: input }, options);
    if (earlier !== undefined) return { run: earlier, created: false };
    const chunks = planChunks(spec);
    if (chunks !== "scan" && options.idempotencyKey === undefined) return this.#startAtOnce(id, spec, chunks);
    const record = await this.#record(id, spec, options);
    if (record.created) await this.#start(record.run, chunks, options.pages);
    return record;
  }

  /** Starts an ended run again over what has no manifest row with matching digests. `change` replaces parts of it. */
  async resume(
    runId: string,
    change: Partial<RunSpecInput> = {},
    pages?: AsyncIterable<readonly string[]>,
  ): Promise<RunRecord> {
    const store = this.#needStore("resume a run");
    const before = ownRun(await store.runs.get(runId), runId);
    if (before.spec.executor === "flow") return this.flows.resume(before);
    const spec = resumedSpec(before.spec, change, { ...this.#deps, traceId: this.#newTraceId() });
    await claimOutput(this.#submit, runId, spec);
    const run = await store.runs.reopen(runId, spec, this.#deps.clock.nowMs());
    if (run === undefined) throw new ConflictError(`run ${runId}: expected it to have ended, found it ${before.state}`);
    await this.#start(run, "scan", pages);
    return run;
  }

  /** Flows: graphs of nodes. @throws {InvalidInputError} when there is no store to keep their plans in */
  get flows(): FlowClient {
    return new FlowClient({ ...this.#deps, ...this.#submit, store: this.#needStore("run flows") });
  }

  /** Runs that start again and again. */
  get schedules(): ScheduleClient {
    this.#schedules ??= new ScheduleClient({ ...this.#deps, store: this.#needStore("keep schedules") });
    return this.#schedules;
  }

  lacking(spec: RunSpec): Promise<readonly string[]> {
    return lackingForRun(this.#deps, spec);
  }

  async status(runId: string): Promise<RunStatus> {
    const { redis, kp } = this.#deps;
    const [record, [live], workers] = await Promise.all([
      this.#find(runId),
      loadLiveFigures(redis, kp, [runId]),
      loadHeartbeats(redis, kp),
    ]);
    if (record === undefined) throw new NotFoundError("run", runId);
    const there = this.#deps.isEmbedded ? workers.filter(isProcessThere) : workers;
    return runStatusOf(record, live, there, this.#deps.clock.nowMs());
  }

  async list(query: RunListQuery): Promise<RunRecord[]> {
    return this.#needStore("list runs").runs.list(query);
  }

  /** Resolves with the final status when the run has ended. */
  async wait(runId: string, signal?: AbortSignal): Promise<RunStatus> {
    for await (const event of this.events(runId, signal)) {
      if (event.kind === "state" && isTerminal(event.state)) break;
    }
    return this.status(runId);
  }

  /** What happens to the run from now on, its present state first; ends when the run has ended. */
  events(runId: string, signal?: AbortSignal): AsyncGenerator<RunEvent> {
    const { redis, kp, clock } = this.#deps;
    const state = async (id: string) => (await this.status(id)).state;
    return followRun({ redis, kp, clock, state }, runId, signal);
  }

  async cancel(runId: string, reason: string): Promise<CancelAck> {
    const status = await this.status(runId);
    if (!isTerminal(status.state)) {
      await this.#deps.store?.runs.move(runId, ["queued", "running"], "cancelling", { message: reason });
      await requestCancel(this.#submit, runId, reason);
    }
    const deadline = this.#deps.clock.monotonicMs() + ACK_WAIT_MS;
    for (;;) {
      const now = await this.status(runId);
      const stillRunning = now.progress.runningJobs;
      const acknowledged = isTerminal(now.state);
      if (acknowledged || this.#deps.clock.monotonicMs() > deadline)
        return { runId, state: now.state, acknowledged, stillRunning };
      await this.#deps.clock.sleep(ACK_POLL_MS);
    }
  }

  /** Forgives the crashes of a run's quarantined files, so that a resume tries them again; how many there were. */
  async release(runId: string): Promise<number> {
    const { files, runs } = this.#needStore("release quarantined files");
    const run = await runs.get(runId);
    if (run === undefined) throw new NotFoundError("run", runId);
    let released = 0;
    for (let afterPath: string | undefined; ;) {
      const query = {
        outcome: "quarantined",
        limit: RELEASE_PAGE,
        ...(afterPath !== undefined && { afterPath }),
      } as const;
      const page = await files.page(runId, run.epoch, query);
      const digests = page.map((file) => crashDigest(file)).filter((digest) => digest !== undefined);
      await forgiveCrashes(this.#deps.redis, this.#deps.kp, digests);
      released += page.length;
      afterPath = page.at(-1)?.path;
      if (page.length < RELEASE_PAGE) return released;
    }
  }

  explain(id: string): Promise<Explanation> {
    const { redis, kp, clock, isEmbedded } = this.#deps;
    return explain(
      {
        ...{ redis, isEmbedded, prefix: kp, queues: this.#submit.queues, clock },
        findRun: (runId) => this.#find(runId),
        findAttempts: async (runId, path) =>
          (await this.#deps.store?.files.attempts(runId, { path, limit: ATTEMPTS_SHOWN })) ?? [],
      },
      id,
    );
  }

  backlog(): Promise<Backlog> {
    return loadBacklog(this.#deps.redis, this.#deps.kp);
  }

  async close(): Promise<void> {
    await this.#submit.queues.close();
    if (this.#owns.ownsStore) await this.#deps.store?.close();
    if (this.#owns.ownsRedis) await closeRedis(this.#deps.redis);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Adds the jobs of a recorded run; a run whose jobs could not be added is `broken`, not left to wait for ever. */
  async #start(
    run: RunRecord,
    chunks: PlannedChunks,
    pages: AsyncIterable<readonly string[]> | undefined,
  ): Promise<void> {
    try {
      await this.#storePages(run.id, run.spec, pages);
      await enqueueRun(this.#submit, run, chunks);
    } catch (error) {
      await this.#markBroken(run.id, error);
      throw error;
    }
  }

  async #markBroken(runId: string, error: unknown): Promise<void> {
    const change = { message: `could not be enqueued: ${lineOf(error)}`, endedAtMs: this.#deps.clock.nowMs() };
    await this.#deps.store?.runs.move(runId, ["queued"], "broken", change);
  }

  /**
   * Enqueues first, so that a few named files do not wait for the store. Jobs whose run cannot be recorded are cancelled.
   * A worker that was quicker wrote the same row (`RunCache.ensureRow`).
   */
  async #startAtOnce(id: string, spec: RunSpec, chunks: PlannedChunks): Promise<{ run: RunRecord; created: boolean }> {
    await enqueueRun(this.#submit, queuedRecord({ id, spec, epoch: 0, createdAtMs: this.#deps.clock.nowMs() }), chunks);
    try {
      const { run } = await this.#record(id, spec, {});
      return { run, created: true };
    } catch (error) {
      await requestCancel(this.#submit, id, `could not be recorded: ${lineOf(error)}`);
      throw error;
    }
  }

  async #record(id: string, spec: RunSpec, options: RunOptions): Promise<{ run: RunRecord; created: boolean }> {
    const createdAtMs = this.#deps.clock.nowMs();
    const key = options.idempotencyKey === undefined ? {} : { idempotencyKey: options.idempotencyKey };
    if (this.#deps.store !== undefined) return this.#deps.store.runs.create({ id, spec, createdAtMs, ...key });
    return { run: queuedRecord({ id, spec, createdAtMs, epoch: 0 }), created: true };
  }

  /** Takes the idempotency key and the output folder for a run; the run that the key stands for already. */
  async #claim(
    { id, spec, request }: { readonly id: string; readonly spec: RunSpec; readonly request: RunRequest },
    { idempotencyKey: key, isKeyChecked = false }: RunOptions,
  ): Promise<RunRecord | undefined> {
    const stored = () => (key === undefined ? undefined : this.#deps.store?.runs.findByIdempotencyKey(key));
    const keyed = key === undefined || isKeyChecked ? undefined : { key, id, request };
    const earlier = await (keyed === undefined ? stored() : this.#keys.claim(keyed));
    if (earlier !== undefined) return earlier;
    try {
      await claimOutput(this.#submit, id, spec);
      return undefined;
    } catch (error) {
      // The same call at the same time may hold the folder: then its run is the answer.
      const same = error instanceof ConflictError ? await stored() : undefined;
      if (same !== undefined) return same;
      // Not there to be given back: the next call takes it over. The refusal is what is told.
      if (keyed !== undefined) await this.#keys.release(keyed).catch(() => undefined);
      throw error;
    }
  }

  async #find(runId: string): Promise<RunRecord | undefined> {
    const record = await this.#deps.store?.runs.get(runId);
    if (record !== undefined) return record;
    const live = await this.#submit.hash.load(runId);
    return live === undefined ? undefined : liveRecord(live);
  }

  #newTraceId(): string {
    return this.#deps.task?.trace_id ?? newTraceId();
  }

  async #storePages(runId: string, spec: RunSpec, pages: AsyncIterable<readonly string[]> | undefined): Promise<void> {
    if (spec.input.kind !== "list" || spec.input.paths !== undefined) return;
    if (pages === undefined) {
      throw new InvalidInputError("run specification", [
        { where: "input.paths", expected: "a list of paths, in it or in pages", found: "neither" },
      ]);
    }
    const store = this.#needStore("store a long list of inputs");
    let page = 0;
    for await (const paths of pages) {
      await store.inputs.append(runId, page, paths);
      page += 1;
    }
    // Those of a longer list that the run had before. Without pages that list stays.
    if (page > 0) await store.inputs.truncate(runId, page);
  }

  #needStore(what: string): Store {
    if (this.#deps.store !== undefined) return this.#deps.store;
    throw new InvalidInputError("client", [{ where: "store", expected: `a store, to ${what}`, found: "none" }]);
  }
}
