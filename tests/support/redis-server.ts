/** Real Redis servers for tests: private, in a temporary folder, ended with the scope that holds them. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { findRedisBinary } from "../../src/platform/redis-binary.ts";
import { unixTarget } from "../../src/platform/redis-target.ts";
import { quietLogger } from "./quiet-logger.ts";

export interface RedisServerOptions {
  /** More arguments of redis-server: `["--maxmemory", "4mb"]`. */
  readonly args?: readonly string[];
  /** For servers that ask for one; the helper itself needs it too. */
  readonly password?: string;
}

export interface RedisServer extends AsyncDisposable {
  /** `unix:///…/redis.sock`, with the password when there is one. */
  readonly url: string;
  readonly socket: string;
  readonly folder: string;
  readonly pid: number;
  /** Ends it without a chance to save. */
  kill(): Promise<void>;
  /** Starts it again over the same files. */
  restart(): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

/** Starts a server on a unix socket of its own and waits until it answers. */
export async function startRedis({ args = [], password }: RedisServerOptions = {}): Promise<RedisServer> {
  const binary = await findRedisBinary({ logger: quietLogger });
  const folder = mkdtempSync(join(tmpdir(), "hr-redis-"));
  const socket = join(folder, "redis.sock");
  const log = join(folder, "redis.log");
  const own = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--logfile", log, "--save", ""];
  const secret = password === undefined ? [] : ["--requirepass", password];
  const launch = async (): Promise<ChildProcess> => {
    const child = spawn(binary.path, [...own, ...secret, ...args], {
      stdio: "ignore",
      env: { ...process.env, ...binary.env },
    });
    await waitUntilReady(child, { socket, log, password });
    return child;
  };
  let child = await launch();
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, "exit");
    child.kill(signal);
    await closed;
  };
  const stop = async () => {
    await end("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  const target = unixTarget(socket);
  return {
    url: password === undefined ? target : target.replace("unix://", `unix://:${encodeURIComponent(password)}@`),
    socket,
    folder,
    get pid() {
      return child.pid ?? 0;
    },
    kill: () => end("SIGKILL"),
    restart: async () => {
      await end("SIGKILL");
      child = await launch();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface Waiting {
  readonly socket: string;
  readonly log: string;
  readonly password: string | undefined;
}

async function waitUntilReady(child: ChildProcess, { socket, log, password }: Waiting): Promise<void> {
  const probe = new Redis({
    path: socket,
    lazyConnect: true,
    retryStrategy: () => 10,
    maxRetriesPerRequest: null,
    ...(password !== undefined && { password }),
  });
  probe.on("error", () => undefined); // not listening yet: tried again
  const failed = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("exit", () => {
      reject(new Error(`expected redis-server to start, found it ended:\n${readLog(log)}`));
    });
  });
  try {
    await Promise.race([probe.ping(), failed]);
  } finally {
    failed.catch(() => undefined); // a later end is the test's own doing
    probe.disconnect();
  }
}

function readLog(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "no log"; // it ended before it opened its log
  }
}
