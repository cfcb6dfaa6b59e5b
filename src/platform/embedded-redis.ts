/**
 * A private Redis server below the data folder, shared by every process that uses this data folder.
 *
 * absent: no server process; whoever starts first makes one. running: one server, proven by the pid and run id that it
 * says on its own socket; each user holds a lease file. stopping: the last user that leaves, under the lock, tells it to
 * save and end. A user that was killed leaves a stale lease, which does not count, and a running server, which the next
 * start takes over; one that ends at once, without leaving, still tells the server to end if it was the last. All moves are made under one lock file, so that concurrent starts and stops see each other's end.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Redis } from "ioredis";
import { InfrastructureError, messageOf } from "../contract/errors.ts";
import { systemClock } from "./clock.ts";
import {
  chooseSocket,
  defaultMaxMemoryBytes,
  makeFiles,
  makeSocketFolder,
  readRecord,
  writeConfig,
  writeRecord,
  type EmbeddedFiles,
} from "./embedded-redis-files.ts";
import { withFileLock, withFileLockAtExit } from "./file-lock.ts";
import { countLeases, releaseLease, takeLease } from "./leases.ts";
import type { Logger } from "./logger.ts";
import { identityOf, isAlive, type ProcessIdentity } from "./process-identity.ts";
import { findRedisBinary } from "./redis-binary.ts";
import { parseInfo } from "./redis-check.ts";
import { unixTarget } from "./redis-target.ts";

export interface EmbeddedRedisOptions {
  /** The data folder; the server's files lie in `<home>/redis`. */
  readonly home: string;
  readonly logger: Logger;
  /** Default: the smaller of 1 GiB and a quarter of the memory. */
  readonly maxMemoryBytes?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface EmbeddedRedis {
  /** What `openRedis` takes. */
  readonly url: string;
  readonly pid: number;
  /** Gives up this use; the last use that ends stops the server, with everything saved. May be called twice. */
  stop(): Promise<void>;
}

interface RunningServer extends ProcessIdentity {
  readonly runId: string;
  readonly socket: string;
}

const POLL_MS = 20;
const ANSWER_MS = 15_000;
/** How long an end may take: it writes the whole memory to the disk. */
const END_MS = 60_000;

/** @throws {InfrastructureError} when no server can be found, started or trusted. */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const files = makeFiles(options.home);
  const logger = options.logger.child({ embeddedRedis: files.folder });
  const { server, lease } = await withFileLock(files.lock, async () => {
    const running = (await findRunning(files, logger)) ?? (await startServer(files, { ...options, logger }));
    return { server: running, lease: takeLease(files.leases) };
  });
  const use = { server, lease, logger };
  const onExit = () => {
    leaveNow(files, use);
  };
  process.once("exit", onExit);
  let stopping: Promise<void> | undefined;
  return {
    url: unixTarget(server.socket),
    pid: server.pid,
    stop: () => (stopping ??= leave(files, use).then(() => void process.off("exit", onExit))),
  };
}

/** The server that runs for this home already, once it answers and has proven to be the one that was started here. */
async function findRunning(files: EmbeddedFiles, logger: Logger): Promise<RunningServer | undefined> {
  const record = readRecord(files);
  if (record === undefined) return undefined;
  const { socket, server } = record;
  if (server === undefined || !isAlive(server)) {
    await refuseForeign(socket);
    return undefined;
  }
  const answer = await waitForAnswer(socket, server, logger).catch((error: unknown) => {
    // It was ending while we looked: then a new one is started. One that lives and is silent is for a person to see.
    if (isAlive(server)) throw error;
    return undefined;
  });
  if (answer === undefined) return undefined;
  const runId = server.runId ?? answer.runId;
  if (answer.pid !== server.pid || answer.runId !== runId) throw foreign(socket, answer);
  writeRecord(files, { socket, server: { ...server, runId } });
  logger.info({ pid: server.pid }, "embedded redis is shared with its other users");
  return { ...server, runId, socket };
}

/** Our server is not there; then nobody may answer on our socket. */
async function refuseForeign(socket: string): Promise<void> {
  const answer = await ask(socket).catch(() => undefined); // nobody listens: as it should be
  if (answer !== undefined) throw foreign(socket, answer);
}

function foreign(socket: string, { pid, runId }: Answer): InfrastructureError {
  return new InfrastructureError(
    `expected our own redis server on ${socket}, found another one (pid ${pid}, run id ${runId}); ` +
      "end it, or choose another data folder",
  );
}

async function startServer(files: EmbeddedFiles, options: EmbeddedRedisOptions): Promise<RunningServer> {
  const env = options.env ?? process.env;
  const binary = await findRedisBinary({ logger: options.logger, env });
  const socket = chooseSocket(files, env);
  makeSocketFolder(socket);
  await refuseForeign(socket);
  rmSync(socket, { force: true });
  rmSync(files.pid, { force: true });
  writeConfig(files, socket, options.maxMemoryBytes ?? defaultMaxMemoryBytes());
  const config = openSync(files.config, "r");
  const child = spawn(binary.path, ["-"], {
    cwd: files.folder,
    // A session of its own: Ctrl-C in the terminal ends its users first, and they end the server.
    detached: true,
    // By standard input: redis reads a file name with *, ? or [ as a pattern, and starts with its defaults when none matches.
    stdio: [config, "ignore", "ignore"],
    env: { ...process.env, ...binary.env },
  });
  closeSync(config);
  child.unref();
  const server = await waitForStart(files, { child, socket, logger: options.logger });
  writeRecord(files, { socket, server: { pid: server.pid, startedAt: server.startedAt, runId: server.runId } });
  options.logger.info({ pid: server.pid, version: binary.version }, "embedded redis started");
  return server;
}

async function waitForStart(
  files: EmbeddedFiles,
  { child, socket, logger }: { child: ChildProcess; socket: string; logger: Logger },
): Promise<RunningServer> {
  const spawned = await new Promise<ProcessIdentity | undefined>((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => {
      resolve(child.pid === undefined ? undefined : identityOf(child.pid));
    });
  }).catch((error: unknown) => {
    throw new InfrastructureError(`expected redis to start, found: ${messageOf(error)}`, { cause: error });
  });
  if (spawned === undefined) throw endedAtOnce(files);
  // Before it answers: if this process is killed now, the next one finds it, and does not start a second over its files.
  writeRecord(files, { socket, server: spawned });
  const answer = await waitForAnswer(socket, spawned, logger).catch((error: unknown) => {
    if (isAlive(spawned)) child.kill("SIGTERM");
    throw isAlive(spawned) ? error : endedAtOnce(files, error);
  });
  if (answer.pid !== spawned.pid) throw foreign(socket, answer);
  return { ...spawned, runId: answer.runId, socket };
}

function endedAtOnce(files: EmbeddedFiles, cause?: unknown): InfrastructureError {
  return new InfrastructureError(
    `expected redis to keep running, found it ended; ${files.log} says: ${tail(files.log)}`,
    {
      cause,
    },
  );
}

function tail(path: string): string {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").slice(-3).join(" | ").slice(-600);
  } catch {
    return "nothing"; // it ended before it opened its log
  }
}

interface Answer {
  readonly pid: number;
  readonly runId: string;
  readonly isLoading: boolean;
}

/** Waits until the server answers on its socket and has loaded its data, for as long as its process lives. */
async function waitForAnswer(socket: string, server: ProcessIdentity, logger: Logger): Promise<Answer> {
  let silentSinceMs = systemClock.monotonicMs();
  let isLoadingLogged = false;
  for (;;) {
    let lastError: unknown;
    const answer = await ask(socket).catch((error: unknown) => {
      lastError = error;
      return undefined;
    });
    if (answer?.isLoading === false) return answer;
    const nowMs = systemClock.monotonicMs();
    if (answer !== undefined) {
      silentSinceMs = nowMs;
      if (!isLoadingLogged) logger.info({ pid: server.pid }, "embedded redis loads its data");
      isLoadingLogged = true;
    }
    if (!isAlive(server)) throw noAnswer(`process ${server.pid} has ended`, lastError);
    if (nowMs - silentSinceMs > ANSWER_MS) throw noAnswer(`none for ${ANSWER_MS} ms`, lastError);
    await systemClock.sleep(POLL_MS);
  }
}

function noAnswer(found: string, cause: unknown): InfrastructureError {
  return new InfrastructureError(`expected the embedded redis to answer on its socket, found ${found}`, { cause });
}

/** One question on a connection of its own. Rejects when nobody listens. */
async function ask(socket: string): Promise<Answer> {
  return withConnection(socket, async (redis) => {
    const info = parseInfo(await redis.info());
    return {
      pid: Number(info.get("process_id")),
      runId: info.get("run_id") ?? "",
      isLoading: info.get("loading") === "1",
    };
  });
}

async function withConnection<T>(socket: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({
    path: socket,
    lazyConnect: true,
    retryStrategy: null,
    enableReadyCheck: false,
    connectTimeout: 5_000,
    commandTimeout: 5_000,
  });
  let connectError: unknown;
  redis.on("error", (error) => {
    connectError = error;
  });
  try {
    await redis.connect();
    return await work(redis);
  } catch (error) {
    throw connectError ?? error;
  } finally {
    redis.disconnect();
  }
}

interface Use {
  readonly server: RunningServer;
  readonly lease: string;
  readonly logger: Logger;
}

/**
 * The process ends without having left, as at a second Ctrl-C: a server without other users is told to end and not waited
 * for. It has the lock until then, so that a start that comes meanwhile waits for its end.
 */
function leaveNow(files: EmbeddedFiles, { server, lease, logger }: Use): void {
  try {
    // Before the lock: of two that end at one moment, the second one sees that the first has gone.
    releaseLease(lease);
    withFileLockAtExit(files.lock, () => {
      if (countLeases(files.leases) > 0 || !isAlive(server)) return undefined;
      process.kill(server.pid, "SIGTERM");
      return server;
    });
  } catch (error) {
    // Thrown here it would hide why the process ends.
    logger.warn({ err: error, pid: server.pid }, "embedded redis may be left running; the next start takes it over");
  }
}

/** Gives up one use; ends the server when it was the last. */
function leave(files: EmbeddedFiles, { server, lease, logger }: Use): Promise<void> {
  return withFileLock(files.lock, async () => {
    releaseLease(lease);
    const others = countLeases(files.leases);
    if (others > 0) {
      logger.info({ others }, "embedded redis stays for its other users");
      return;
    }
    if (isAlive(server)) await endServer(server, logger);
    rmSync(files.record, { force: true });
    rmSync(server.socket, { force: true });
    // Only the short path outside the home has a folder that nothing else will remove.
    if (!server.socket.startsWith(files.folder)) rmSync(dirname(server.socket), { recursive: true, force: true });
    logger.info({ pid: server.pid }, "embedded redis stopped");
  });
}

async function endServer(server: RunningServer, logger: Logger): Promise<void> {
  const refused = await shutDown(server.socket, "SAVE");
  if (refused !== undefined) {
    // A full disk refuses the snapshot; the append-only file has every write, and is flushed by this one too.
    logger.warn({ err: refused }, "embedded redis could not write a snapshot; its append-only file holds the data");
    await shutDown(server.socket, "NOSAVE");
  }
  const deadlineMs = systemClock.monotonicMs() + END_MS;
  while (isAlive(server)) {
    if (systemClock.monotonicMs() > deadlineMs) {
      throw new InfrastructureError(`expected redis ${server.pid} to end within ${END_MS} ms, found it running`);
    }
    await systemClock.sleep(POLL_MS);
  }
}

/** What the server answered when it refused; a connection that breaks off is the end that was asked for. */
async function shutDown(socket: string, mode: "SAVE" | "NOSAVE"): Promise<Error | undefined> {
  return withConnection(socket, (redis) => redis.call("SHUTDOWN", mode)).then(
    () => undefined,
    (error: unknown) => (error instanceof Error && error.name === "ReplyError" ? error : undefined),
  );
}
