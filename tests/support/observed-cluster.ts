/**
 * A cluster of the built processes with everything that there is to look at: a worker that believes in a GPU which a program
 * of the test tells of, a scheduler, an intake and a board, over a Redis and a store of their own.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { vi } from "vitest";
import { Cli, type CallOptions, type Ended, type Running } from "../e2e/cli/cli-process.ts";
import { CARD, writeSampler } from "./fake-gpu.ts";
import type { Target } from "./monitoring.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";
import { TcpProxy } from "./tcp-proxy.ts";

const PATIENT = { timeout: 60_000, interval: 50 };

const commands = {
  worker: ["worker", "--drain", "1s"],
  scheduler: ["scheduler"],
  producer: ["producer", "--port", "0"],
  board: ["board", "--port", "0"],
} as const;
type Name = keyof typeof commands;

export class ObservedCluster implements AsyncDisposable {
  readonly cli = new Cli();
  readonly redis: RedisServer;
  /** Between the worker and Redis. */
  readonly workersNetwork: TcpProxy;
  readonly #env: Record<string, string>;
  readonly #processes = new Map<Name, Running>();
  readonly #urls = new Map<Name, string>();

  private constructor(redis: RedisServer, workersNetwork: TcpProxy) {
    this.redis = redis;
    this.workersNetwork = workersNetwork;
    this.#env = {
      HEADROOM_REDIS_URL: redis.url,
      HEADROOM_STORE_URL: `sqlite:${join(this.cli.scratch.path, "store.db")}`,
    };
  }

  /** Starts all four and waits until they are ready. */
  static async start(): Promise<ObservedCluster> {
    const redis = await startRedis({ args: ["--appendonly", "yes"] });
    const cluster = new ObservedCluster(redis, await TcpProxy.before(redis.socket));
    try {
      await cluster.#start();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  get targets(): readonly Target[] {
    return [...this.#urls].map(([name, url]) => ({ url, labels: { process: name } }));
  }

  /** Where the operations server of a process listens. */
  url(name: Name): string {
    return this.#urls.get(name) ?? "";
  }

  process(name: Name): Running {
    const running = this.#processes.get(name);
    if (running === undefined) throw new Error(`expected a process ${name}, found none`);
    return running;
  }

  /** Runs a command of the command line against this cluster. */
  call(args: readonly string[], options: CallOptions = {}): Promise<Ended> {
    return this.cli.call(args, { ...options, env: { ...this.#env, ...options.env } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // One that a test has stopped hears no other signal.
    for (const { child } of this.#processes.values()) child.kill("SIGCONT");
    await this.cli[Symbol.asyncDispose]();
    await this.workersNetwork[Symbol.asyncDispose]();
    await this.redis.stop();
  }

  async #start(): Promise<void> {
    const { scratch } = this.cli;
    const bin = scratch.folder("gpu");
    writeSampler(join(bin, "nvidia-smi"), bin);
    scratch.file("gpu/cards", `0, ${CARD(0)}, Big Card, 81920, 2048, 93, 71, 512.0\n`);
    scratch.file("gpu/apps", `${CARD(0)}, 1, 512\n`);
    const preload = pathToFileURL(scratch.file("gpu/driver.mjs", DRIVER_IS_HERE)).href;
    const ofWorker = {
      HEADROOM_REDIS_URL: this.workersNetwork.url,
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      NODE_OPTIONS: `--import=${preload}`,
      // With traces on it tells its metrics as OpenMetrics, the others as the older text: Prometheus is to take both.
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9",
    };
    for (const [name, args] of Object.entries(commands) as [Name, readonly string[]][]) {
      const env = { ...this.#env, ...(name === "worker" && ofWorker) };
      this.#processes.set(name, this.cli.start(args, { env }));
    }
    for (const [name, running] of this.#processes) {
      const url = await vi.waitFor(() => {
        const [, found] = /"url":"(http:[^"]+)"[^\n]*operations server listens/.exec(running.stderr()) ?? [];
        if (found === undefined) throw new Error(`expected ${name} to listen, found: ${running.stderr()}`);
        return found;
      }, PATIENT);
      await vi.waitFor(async () => {
        const { status } = await fetch(`${url}/readyz`);
        if (status !== 200) throw new Error(`expected ${name} to be ready, found ${status}`);
      }, PATIENT);
      this.#urls.set(name, url);
    }
  }
}

/** The file by which a worker knows that there is a driver. */
const DRIVER_IS_HERE = `import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
const { existsSync } = fs;
fs.existsSync = (path) => path === "/dev/nvidia0" || existsSync(path);
syncBuiltinESMExports();
`;
