/**
 * Runs chunks in threads of its own (see exec-thread.ts), so that the worker's event loop stays free.
 *
 * A thread that dies takes nothing with it but its chunks: those end as `aborted` with what had no result in `notRun`,
 * and the next chunk starts a new thread. Its processes are killed by its launcher, whose standard input has ended.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { InfrastructureError, LeaseLostError, messageOf } from "../../contract/errors.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Service } from "../../platform/lifecycle.ts";
import type { Logger } from "../../platform/logger.ts";
import type { ChunkEnd, ChunkEvents, ChunkRequest } from "./chunk-request.ts";
import type { ExecConfig, FromThread, ToThread } from "./exec-protocol.ts";
import type { JobGroup } from "../governor/probes/job-group.ts";
import type { Step } from "../governor/step.ts";
import { runNoop } from "./noop.ts";

export type {
  ChunkEnd,
  ChunkEvents,
  ChunkRequest,
  ProcessMeasure,
  Publication,
  Starting,
  UsageSample,
} from "./chunk-request.ts";

export interface ChunkRunnerConfig extends ExecConfig {
  /** Threads, each with a launcher; one serves some thousand files a second. */
  readonly threads?: number;
}

/** Of the thread's heap: results come and go, and what they leave behind must not pile up between collections. */
const YOUNG_MB = 12;

interface Running {
  readonly request: ChunkRequest;
  readonly events: ChunkEvents;
  readonly settled: Set<string>;
  finish(end: ChunkEnd): void;
  error: Error | undefined;
}

export class ChunkRunner implements Service {
  readonly #logger: Logger;
  readonly #threads: readonly ExecThreadHandle[];
  readonly #byChunk = new Map<string, ExecThreadHandle>();
  #stopping: Promise<void> | undefined;
  #isWindingDown = false;

  constructor(deps: { readonly logger: Logger; readonly clock: Clock }, config: ChunkRunnerConfig) {
    this.#logger = deps.logger;
    const { threads = 1, ...execConfig } = config;
    this.#threads = Array.from({ length: threads }, () => new ExecThreadHandle(this.#logger, execConfig));
  }

  /** Before it is started: in these groups those of jobs are made. */
  useGroups(groups: JobGroup | undefined): void {
    for (const thread of this.#threads) thread.useGroups(groups);
  }

  /** Starts the threads. @throws {InfrastructureError} when a thread or its launcher does not start. */
  async start(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.ensure()));
  }

  /** Aborts what runs, waits for its end, and ends the threads. */
  stop(): Promise<void> {
    this.#stopping ??= Promise.all(this.#threads.map((thread) => thread.close())).then(() => undefined);
    return this.#stopping;
  }

  /** Runs the files of a chunk to their ends. `signal` ends the process that runs within 2 s. */
  async run(request: ChunkRequest, events: ChunkEvents, signal: AbortSignal): Promise<ChunkEnd> {
    if (request.spec.executor === "noop") return runNoop(request, events, signal);
    if (signal.aborted || this.#stopping !== undefined || this.#isWindingDown) {
      return { kind: "aborted", notRun: request.files, interrupted: [], postponed: [], fenced: [] };
    }
    const thread = this.#threads.reduce((least, other) => (other.load < least.load ? other : least));
    this.#byChunk.set(request.chunkId, thread);
    try {
      return await thread.run(request, events, signal);
    } finally {
      this.#byChunk.delete(request.chunkId);
    }
  }

  /** While it is set no file is begun: chunks end with those that run, and give the others back. */
  setWindingDown(isWindingDown: boolean): void {
    this.#isWindingDown = isWindingDown;
    for (const thread of this.#threads) thread.setWindingDown(isWindingDown);
  }

  /** Takes a step against the process that a chunk runs now. One that is ended fails its file for lack of memory, and the chunk goes on. */
  enforce(step: Step): void {
    this.#byChunk.get(step.jobId)?.send({ kind: "enforce", step });
  }
}

type OfChunk = Exclude<FromThread, { kind: "ready" | "warn" | "usage" }>;

/** One thread, started again when it has died. */
class ExecThreadHandle {
  readonly #logger: Logger;
  #config: ExecConfig;
  readonly #running = new Map<string, Running>();
  #worker: Worker | undefined;
  #isWindingDown = false;
  #ready: Promise<void> | undefined;

  constructor(logger: Logger, config: ExecConfig) {
    this.#logger = logger;
    this.#config = config;
  }

  get load(): number {
    return this.#running.size;
  }

  useGroups(groups: JobGroup | undefined): void {
    this.#config = { ...this.#config, groups };
  }

  send(message: ToThread): void {
    this.#worker?.postMessage(message);
  }

  setWindingDown(isWindingDown: boolean): void {
    this.#isWindingDown = isWindingDown;
    if (!isWindingDown) return;
    for (const chunkId of this.#running.keys()) this.send({ kind: "abort", chunkId, isSoft: true });
  }

  ensure(): Promise<void> {
    this.#ready ??= this.#open();
    return this.#ready;
  }

  async run(request: ChunkRequest, events: ChunkEvents, signal: AbortSignal): Promise<ChunkEnd> {
    const { chunkId } = request;
    if (this.#running.has(chunkId)) throw new TypeError(`expected a chunk id of its own, found ${chunkId} running`);
    await this.ensure();
    const onAbort = () => {
      this.send({ kind: "abort", chunkId, isSoft: false });
    };
    const end = new Promise<ChunkEnd>((finish) => {
      this.#running.set(chunkId, { request, events, settled: new Set(), finish, error: undefined });
    });
    this.send({ kind: "run", request });
    if (this.#isWindingDown) this.send({ kind: "abort", chunkId, isSoft: true });
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await end;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#running.delete(chunkId);
    }
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    for (const chunkId of this.#running.keys()) this.send({ kind: "abort", chunkId, isSoft: false });
    const exited = new Promise<void>((resolve) =>
      worker.once("exit", () => {
        resolve();
      }),
    );
    this.send({ kind: "stop" });
    await exited;
  }

  #open(): Promise<void> {
    const worker = new Worker(threadFile(), {
      workerData: this.#config,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      worker.on("message", (messages: readonly FromThread[]) => {
        for (const message of messages) {
          if (message.kind === "ready") resolve();
          else this.#onMessage(message);
        }
      });
      let cause: unknown;
      worker.on("error", (error) => (cause = error));
      worker.on("exit", () => {
        const text = cause === undefined ? "the executor's thread ended" : messageOf(cause);
        const error = new InfrastructureError(text, { cause });
        reject(error);
        this.#onExit(error, cause !== undefined);
      });
    });
  }

  #onExit(error: InfrastructureError, isFailure: boolean): void {
    this.#worker = undefined;
    this.#ready = undefined;
    if (isFailure) this.#logger.error({ err: error, chunks: this.#running.size }, "executor thread died");
    for (const running of this.#running.values()) {
      const notRun = running.request.files.filter((file) => !running.settled.has(file.path));
      running.finish({ kind: "aborted", notRun, interrupted: notRun, postponed: [], fenced: [], error });
    }
  }

  #onMessage(message: Exclude<FromThread, { kind: "ready" }>): void {
    if (message.kind === "warn") {
      this.#logger.warn(message.fields, message.text);
      return;
    }
    if (message.kind === "usage") {
      this.#running.get(message.sample.chunkId)?.events.usage(message.sample);
      return;
    }
    const running = this.#running.get(message.chunkId);
    if (running !== undefined) this.#tell(running, message);
  }

  #tell(running: Running, message: OfChunk): void {
    const { events, settled } = running;
    switch (message.kind) {
      case "starting":
        void this.#answer(running, message.call, async () => {
          await events.starting(message.files);
          return [];
        });
        break;
      case "may-publish":
        void this.#answer(running, message.call, () => events.mayPublish(message.items));
        break;
      case "results":
        for (const { path } of message.results) settled.add(path);
        events.results(message.results);
        break;
      case "reused":
        for (const path of message.paths) settled.add(path);
        events.reused(message.paths);
        break;
      case "measured":
        events.measured(message.measure);
        break;
      case "end":
        running.finish(endOf(message, running));
    }
  }

  async #answer(running: Running, call: number, ask: () => Promise<readonly boolean[]>): Promise<void> {
    try {
      this.send({ kind: "answer", call, allowed: await ask() });
    } catch (error) {
      running.error = error instanceof Error ? error : new Error(messageOf(error), { cause: error });
      const isLeaseLost = error instanceof LeaseLostError;
      this.send({ kind: "refusal", call, isLeaseLost, message: messageOf(error) });
    }
  }
}

function endOf(message: Extract<FromThread, { kind: "end" }>, running: Running): ChunkEnd {
  if (message.failure === undefined) return message.end;
  return { ...message.end, error: running.error ?? new InfrastructureError(message.failure) };
}

/** The built thread: threads cannot load TypeScript on every Node that we support. */
function threadFile(): URL {
  const here = import.meta.url;
  const built = here.endsWith(".ts")
    ? here.replace(/\/src\/worker\/executor\/[^/]*$/, "/dist/worker/executor/exec-thread.js")
    : new URL("exec-thread.js", here).href;
  const url = new URL(built);
  if (!existsSync(url)) {
    throw new InfrastructureError(`expected the built ${fileURLToPath(url)}, found none; to make it: npm run build`);
  }
  return url;
}
