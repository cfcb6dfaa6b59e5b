/** A primary with replicas and three Sentinels, on loopback, ended with the scope that holds them. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { parseInfo } from "../../src/platform/redis-check.ts";
import { findRedisBinary } from "../../src/platform/redis-binary.ts";
import { closeRedis, openRedis } from "../../src/platform/redis.ts";
import { freePort } from "./free-port.ts";
import { quietLogger } from "./quiet-logger.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";

const NAME = "jobs";
const SENTINELS = 3;
const PATIENT = { timeout: 30_000, interval: 50 };
/**
 * How long a primary may be silent. Long, but while a test waits for a failover: on a machine that is busy, Sentinel would
 * find a healthy one silent for a second, and put a replica in its place that has not its data yet.
 */
const SILENT_MS = { calm: 60_000, failingOver: 1_000 };

export interface SentinelOptions {
  readonly replicas?: number;
  /** Arguments of all servers. */
  readonly args?: readonly string[];
  /** More arguments of the replicas. */
  readonly replicaArgs?: readonly string[];
  /** Whether replicas have the primary's data before this resolves. */
  readonly isSynced?: boolean;
}

interface Watcher {
  readonly child: ChildProcess;
  readonly port: number;
}

interface Node {
  readonly server: RedisServer;
  readonly port: number;
}

export class SentinelGroup implements AsyncDisposable {
  /** `redis+sentinel://…`, for code that opens its own connections. */
  readonly url: string;
  readonly nodes: readonly Node[];
  readonly #sentinels: readonly Watcher[];
  readonly #folder: string;

  private constructor(folder: string, nodes: readonly Node[], sentinels: readonly Watcher[]) {
    this.#folder = folder;
    this.nodes = nodes;
    this.#sentinels = sentinels;
    this.url = `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${NAME}`;
  }

  static async start({
    replicas = 1,
    args = [],
    replicaArgs = [],
    isSynced = true,
  }: SentinelOptions = {}): Promise<SentinelGroup> {
    const primary = await startNode(args);
    const following = ["--replicaof", "127.0.0.1", String(primary.port), ...args, ...replicaArgs];
    const nodes = [primary];
    for (let at = 0; at < replicas; at += 1) nodes.push(await startNode(following));
    if (isSynced) for (const node of nodes.slice(1)) await untilSynced(node.server);
    const folder = mkdtempSync(join(tmpdir(), "hr-sentinel-"));
    const sentinels: Watcher[] = [];
    for (let at = 0; at < SENTINELS; at += 1) sentinels.push(await startSentinel(folder, at, primary.port));
    const group = new SentinelGroup(folder, nodes, sentinels);
    await group.#untilWatched(replicas);
    return group;
  }

  /** The server that Sentinel names as the primary. */
  async primary(): Promise<Node> {
    const [sentinel] = this.#sentinels;
    const redis = new Redis({ port: sentinel?.port ?? 0, host: "127.0.0.1" });
    try {
      const [, port] = (await redis.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) as [string, string];
      const node = this.nodes.find((candidate) => candidate.port === Number(port));
      if (node === undefined) throw new Error(`expected Sentinel to name a node of ours, found port ${port}`);
      return node;
    } finally {
      redis.disconnect();
    }
  }

  /** Kills the primary; resolves when another one leads. */
  async failOver(): Promise<void> {
    const before = await this.primary();
    await before.server.kill();
    await this.untilLed(before.server);
  }

  /** Resolves when another server than this one, which is gone, leads and takes writes. */
  async untilLed(before: RedisServer): Promise<void> {
    await this.#setSilence(SILENT_MS.failingOver);
    await expect.poll(async () => (await this.primary()).server !== before, PATIENT).toBe(true);
    const redis = openRedis((await this.primary()).server.url, "command", quietLogger);
    try {
      await expect.poll(() => redis.info("replication"), PATIENT).toContain("role:master");
    } finally {
      await closeRedis(redis);
    }
    await this.#setSilence(SILENT_MS.calm);
  }

  async #setSilence(ms: number): Promise<void> {
    for (const { port } of this.#sentinels) {
      const redis = new Redis({ port, host: "127.0.0.1" });
      try {
        await redis.call("SENTINEL", "SET", NAME, "down-after-milliseconds", String(ms));
      } finally {
        redis.disconnect();
      }
    }
  }

  /** A quorum needs to know all Sentinels and all replicas. */
  async #untilWatched(replicas: number): Promise<void> {
    for (const { port } of this.#sentinels) {
      const redis = new Redis({ port, host: "127.0.0.1" });
      try {
        const counts = async () => {
          const [, text = ""] = /(slaves=\d+,sentinels=\d+)/.exec(await redis.info("sentinel")) ?? [];
          return text;
        };
        await expect.poll(counts, PATIENT).toBe(`slaves=${replicas},sentinels=${SENTINELS}`);
      } finally {
        redis.disconnect();
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#sentinels) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    for (const { server } of this.nodes) await server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function startNode(args: readonly string[]): Promise<Node> {
  const port = await freePort();
  const own = ["--bind", "127.0.0.1", "--port", String(port), "--appendonly", "yes", "--maxmemory", "512mb"];
  return { port, server: await startRedis({ args: [...own, "--repl-diskless-sync-delay", "0", ...args] }) };
}

async function startSentinel(folder: string, at: number, primaryPort: number): Promise<Watcher> {
  const binary = await findRedisBinary({ logger: quietLogger });
  const port = await freePort();
  const config = join(folder, `sentinel-${at}.conf`);
  const watched = `sentinel monitor ${NAME} 127.0.0.1 ${primaryPort} 2`;
  const times = [
    `sentinel down-after-milliseconds ${NAME} ${SILENT_MS.calm}`,
    `sentinel failover-timeout ${NAME} 5000`,
  ];
  writeFileSync(config, [`port ${port}`, "bind 127.0.0.1", `dir ${folder}`, watched, ...times, ""].join("\n"));
  const child = spawn(binary.path, [config, "--sentinel"], { stdio: "ignore", env: { ...process.env, ...binary.env } });
  await once(child, "spawn");
  return { child, port };
}

async function untilSynced(server: RedisServer): Promise<void> {
  const redis = openRedis(server.url, "command", quietLogger);
  try {
    const link = async () => parseInfo(await redis.info("replication")).get("master_link_status");
    await expect.poll(link, PATIENT).toBe("up");
  } finally {
    await closeRedis(redis);
  }
}
