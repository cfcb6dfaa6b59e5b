/** A board over a real Redis and a real store, with runs, files, workers and jobs to look at. */
import type { Redis } from "ioredis";
import { unrunResult, type FileResult } from "../../src/contract/files.ts";
import { keyPrefix, keys } from "../../src/contract/queues.ts";
import { parseRunSpec, type RunSpecInput } from "../../src/contract/run-request.ts";
import type { RunSpec } from "../../src/contract/run-spec.ts";
import type { WorkerHeartbeat } from "../../src/contract/status.ts";
import { JobQueues } from "../../src/platform/job-queues.ts";
import type { Logger } from "../../src/platform/logger.ts";
import { Metrics } from "../../src/platform/metrics.ts";
import { RunHash } from "../../src/platform/run-hash.ts";
import { reportMarkdown } from "../../src/cli/report-markdown.ts";
import { createBoard, type Board } from "../../src/board/main.ts";
import type { BoardConfig } from "../../src/board/config.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { Store } from "../../src/store/store.ts";
import { quietLogger } from "./quiet-logger.ts";
import { makeTempFolder } from "./temp-folder.ts";

export const TOKEN = "a-token-for-tests-0123456789";

/** Names that would break a page, a URL, a terminal or a reader. */
export const hostileNames = [
  "<script>alert(1)</script>.txt",
  `"><img src=x onerror=alert(1)>`,
  "a&b'c\"d.txt",
  "sub dir/new\nline.bin",
  "-rf --no-preserve-root",
  "percent%2e%2e%2fetc.txt",
  "question?and#hash.txt",
  "right‮gpj.exe",
  "bytes-\udcff\udcfe.dat",
  "back\\slash.txt",
  "javascript:alert(1)",
  `${"long-".repeat(40)}.txt`,
] as const;

export interface BoardFixture extends AsyncDisposable {
  readonly board: Board;
  readonly url: string;
  readonly store: Store;
  readonly queues: JobQueues;
  readonly told: string[];
  /** Asks the board, without following redirects; with the admin token unless told otherwise. */
  ask(path: string, init?: RequestInit & { readonly anonymous?: boolean }): Promise<Response>;
}

export interface BoardFixtureOptions {
  readonly redis: Redis;
  readonly prefix: string;
  readonly config?: Partial<BoardConfig>;
  readonly logger?: Logger;
  /** Lets the board make its own token. */
  readonly withoutToken?: boolean;
}

/** Starts a board with a login on a free loopback port. */
export async function startBoard(options: BoardFixtureOptions): Promise<BoardFixture> {
  const { redis, prefix, config, logger, withoutToken } = options;
  const folder = makeTempFolder();
  const token = withoutToken === true ? {} : { token: TOKEN };
  const store = await openStore(`sqlite:${folder.path}/headroom.db`, quietLogger);
  await store.migrate();
  const kp = keyPrefix(prefix);
  const told: string[] = [];
  const metrics = new Metrics({ version: "0", process: "board" }, quietLogger);
  const board = createBoard(
    { store, redis, logger: logger ?? quietLogger, metrics, reportMarkdown, tellToken: (text) => told.push(text) },
    { host: "127.0.0.1", port: 0, prefix: kp, login: "always", ...token, home: folder.path, ...config },
  );
  await board.start();
  const queues = new JobQueues(redis, kp);
  return {
    board,
    url: board.url,
    store,
    queues,
    told,
    ask: (path, { anonymous, ...init } = {}) => {
      const headers = new Headers(init.headers);
      if (anonymous !== true) headers.set("authorization", `Bearer ${TOKEN}`);
      return fetch(board.url + path, { redirect: "manual", ...init, headers });
    },
    async [Symbol.asyncDispose]() {
      await board.stop();
      await queues.close();
      await store.close();
      folder[Symbol.dispose]();
    },
  };
}

export function testSpec(change: Partial<RunSpecInput> = {}): RunSpec {
  return parseRunSpec({
    command: ["/usr/bin/sha256sum", "{input}"],
    input: { kind: "tree", root: "/data/in" },
    output: { root: "/data/out", from: "stdout" },
    ...change,
  });
}

export interface SeededRun {
  readonly id: string;
  readonly spec?: RunSpec;
  readonly files?: readonly FileResult[];
}

/** A run that goes on: its record, its live counters and its files so far. */
export async function seedRunning(fixture: BoardFixture, redis: Redis, prefix: string, run: SeededRun): Promise<void> {
  const { id, spec = testSpec(), files = [] } = run;
  const createdAtMs = Date.now() - 60_000;
  await fixture.store.runs.create({ id, spec, createdAtMs });
  await fixture.store.runs.move(id, ["queued"], "running", { startedAtMs: createdAtMs + 500 });
  if (files.length > 0) await fixture.store.files.record(id, 0, files);
  const hash = new RunHash(redis, keyPrefix(prefix));
  await hash.create({ runId: id, spec, epoch: 0, state: "running", createdAtMs });
  const count = (outcome: FileResult["outcome"]) => files.filter((file) => file.outcome === outcome).length;
  await hash.count(
    { runId: id, epoch: 0 },
    {
      total: files.length + 40,
      succeeded: count("succeeded"),
      failed: count("failed"),
      quarantined: count("quarantined"),
      chunks: 7,
    },
  );
  await hash.set({ runId: id }, { scanned: "1", startedAtMs: createdAtMs + 500 });
}

/** A result of a file that was run. */
export function ranFile(index: number, path: string, change: Partial<FileResult> = {}): FileResult {
  return {
    ...unrunResult({ index, path, bytes: 1_000 + index }, { outcome: "succeeded", failureClass: null, message: null }),
    exitCode: 0,
    attempts: 1,
    startedAtMs: Date.now() - 30_000,
    durationMs: 12 + index,
    cpuMs: 9,
    peakBytes: 4_000_000 + index,
    inputSha256: "a".repeat(64),
    binarySha256: "b".repeat(64),
    argsSha256: "c".repeat(64),
    outputPath: `${path}.output`,
    outputBytes: 65,
    outputSha256: "d".repeat(64),
    workerId: "node-1",
    ...change,
  };
}

/** A file that failed, with a log. */
export function failedFile(index: number, path: string, message: string, log: string): FileResult {
  return ranFile(index, path, {
    outcome: "failed",
    failureClass: "exit",
    message,
    exitCode: 3,
    outputPath: null,
    outputBytes: null,
    outputSha256: null,
    log,
  });
}

const GiB = 1024 ** 3;

export function testWorker(change: Partial<WorkerHeartbeat> = {}): WorkerHeartbeat {
  return {
    workerId: "node-1",
    host: "node-1",
    pid: 4_242,
    startedAtMs: Date.now() - 3_600_000,
    atMs: Date.now(),
    state: "running",
    labels: ["ssd"],
    capacity: { memoryBytes: 16 * GiB, cpuCores: 8, processes: 8 },
    reserved: { memoryBytes: 2 * GiB, cpuCores: 2, processes: 2 },
    observed: { memoryBytes: 3 * GiB, cpuCores: 2.4, processes: 2 },
    headroom: { memoryBytes: 13 * GiB, cpuCores: 5.6, processes: 6 },
    largestJobBytes: 14 * GiB,
    keepsRoomFor: null,
    running: [],
    waiting: [],
    ...change,
  };
}

export async function beat(redis: Redis, prefix: string, worker: WorkerHeartbeat): Promise<void> {
  const kp = keyPrefix(prefix);
  await redis.sadd(keys.workers(kp), worker.workerId);
  await redis.hset(keys.worker(kp, worker.workerId), { json: JSON.stringify(worker) });
}
