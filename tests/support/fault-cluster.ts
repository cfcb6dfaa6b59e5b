/**
 * A cluster of real processes for tests of faults: a private Redis with an append-only file, a store that all share,
 * workers and schedulers that can be killed, and a job whose golden outputs are known.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "@photostructure/sqlite";
import type { Redis } from "ioredis";
import { expect } from "vitest";
import { MiB } from "../../src/contract/resources.ts";
import { keyPrefix } from "../../src/contract/queues.ts";
import type { RunSpecInput } from "../../src/contract/run-request.ts";
import type { RunStatus } from "../../src/contract/status.ts";
import { JobQueues } from "../../src/platform/job-queues.ts";
import { closeRedis, openRedis } from "../../src/platform/redis.ts";
import { createClient, type Client } from "../../src/producer/client.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { Store } from "../../src/store/store.ts";
import { runBuilt } from "./built-process.ts";
import { startFaultRedis, type FaultRedis } from "./fault-redis.ts";
import { SETTINGS, type ProcessSettings } from "./processes/settings.ts";
import { quietLogger } from "./quiet-logger.ts";
import type { RedisServer } from "./redis-server.ts";
import { Scratch } from "./scratch.ts";
import type { TsProcess } from "./ts-process.ts";

export const PREFIX = "faults";
export const kp = keyPrefix(PREFIX);

/** Long, because other work may load the machine; nothing waits for it to pass. */
export const PATIENT = { timeout: 90_000, interval: 20 };

export interface FaultClusterOptions {
  /** The store of all processes; a SQLite file of the scratch folder by default. */
  readonly store?: string;
  readonly redisArgs?: readonly string[];
  /** A Redis that is there already; it is stopped with the cluster. */
  readonly redis?: FaultRedis;
}

interface Parts {
  readonly redis: FaultRedis;
  readonly scratch: Scratch;
  readonly storeUrl: string;
  readonly store: Store;
  readonly connection: Redis;
  readonly client: Client;
}

export class FaultCluster implements AsyncDisposable {
  readonly scratch: Scratch;
  readonly input: string;
  readonly output: string;
  /** One line per end of a job process: the path of its input. */
  readonly log: string;
  /** In the environment of every job process. */
  readonly marker = randomBytes(8).toString("hex");
  /** The server that fails. */
  readonly redis: RedisServer;
  readonly redisUrl: string;
  readonly storeUrl: string;
  readonly store: Store;
  readonly client: Client;
  readonly processes = new Map<string, TsProcess>();
  readonly golden = new Map<string, string>();
  readonly #connection: Redis;
  readonly #queues: JobQueues;
  readonly #redis: FaultRedis;
  #started = 0;

  static async open(options: FaultClusterOptions = {}): Promise<FaultCluster> {
    const redis = options.redis ?? (await startFaultRedis({ prefix: PREFIX, args: options.redisArgs ?? [] }));
    const scratch = new Scratch();
    const storeUrl = options.store ?? `sqlite:${join(scratch.path, "store.db")}`;
    const store = await openStore(storeUrl, quietLogger);
    await store.migrate();
    const connection = openRedis(redis.url, "command", quietLogger);
    const client = await createClient({ redis: redis.urlOf("producer"), store, prefix: PREFIX, logger: quietLogger });
    return new FaultCluster({ redis, scratch, storeUrl, store, connection, client });
  }

  private constructor(parts: Parts) {
    this.scratch = parts.scratch;
    this.input = parts.scratch.folder("in");
    this.output = parts.scratch.folder("out");
    this.log = join(parts.scratch.path, "ended.log");
    this.#redis = parts.redis;
    this.redis = parts.redis.server;
    this.redisUrl = parts.redis.url;
    this.storeUrl = parts.storeUrl;
    this.store = parts.store;
    this.client = parts.client;
    this.#connection = parts.connection;
    this.#queues = new JobQueues(parts.connection, kp);
  }

  /** A connection of the test's own. */
  get keys(): Redis {
    return this.#connection;
  }

  /** Does something on the server that fails, with all rights. */
  async onServer<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = openRedis(this.redis.url, "command", quietLogger);
    try {
      return await work(redis);
    } finally {
      await closeRedis(redis);
    }
  }

  get queues(): JobQueues {
    return this.#queues;
  }

  /** Starts a worker, in a control group if one is given; resolves when it claims. */
  async worker(settings: Partial<ProcessSettings> = {}, cgroup?: string): Promise<TsProcess> {
    return this.#start("worker", settings, cgroup);
  }

  async scheduler(settings: Partial<ProcessSettings> = {}): Promise<TsProcess> {
    return this.#start("scheduler", settings);
  }

  async #start(kind: "worker" | "scheduler", settings: Partial<ProcessSettings>, cgroup?: string): Promise<TsProcess> {
    this.#started += 1;
    const id = settings.id ?? `${kind}-${this.#started}`;
    const all: ProcessSettings = {
      redis: this.#redis.urlOf(kind),
      store: this.storeUrl,
      prefix: PREFIX,
      ...settings,
      id,
    };
    const started = runBuilt(kind, { env: { [SETTINGS]: JSON.stringify(all) }, cgroup });
    this.processes.set(id, started);
    await started.line("ready");
    return started;
  }

  /**
   * Stops workers where they stand (SIGSTOP), but not while one of them writes to the SQLite file: it would keep the file
   * locked, and what the others do then is another test.
   */
  async stall(workers: readonly TsProcess[]): Promise<void> {
    for (;;) {
      for (const { child } of workers) child.kill("SIGSTOP");
      await expect.poll(() => workers.every(({ pid }) => isStopped(pid)), PATIENT).toBe(true);
      if (!this.#isStoreLocked()) return;
      for (const { child } of workers) child.kill("SIGCONT");
    }
  }

  #isStoreLocked(): boolean {
    if (!this.storeUrl.startsWith("sqlite:")) return false;
    const db = new DatabaseSync(this.storeUrl.slice("sqlite:".length), { timeout: 0 });
    try {
      db.exec("begin immediate; rollback");
      return false;
    } catch (error) {
      if (/locked|busy/i.test(String(error))) return true;
      throw error;
    } finally {
      db.close();
    }
  }

  /** Writes input files `file-0`… and remembers what their outputs must be. */
  files(count: number, prefix = "file"): void {
    for (let at = 0; at < count; at += 1) this.file(`${prefix}-${at}`, `${prefix} ${at}\n`.repeat((at % 7) + 1));
  }

  file(name: string, content: string): void {
    writeFileSync(join(this.input, name), content);
    this.golden.set(name, `${createHash("sha256").update(content).digest("hex")}  -\n`);
  }

  /** A job that writes the SHA-256 of its input, notes that it did so, and does `first` before. */
  spec(first = "sleep 0.01", more: Partial<RunSpecInput> = {}): RunSpecInput {
    const script = `${first}; sha256sum < "$1" > "$2" || exit 9; echo "$1" >> "${this.log}"`;
    return {
      command: ["/bin/sh", "-c", script, "job", "{input}", "{output}"],
      input: { kind: "tree", root: this.input },
      output: { root: this.output, from: "file" },
      env: { HEADROOM_FAULTS_MARKER: this.marker },
      chunk: { maxFiles: 10 },
      killAfterMs: 200,
      // Declared: chunks stay in one queue, whatever is learned of them, and tests know which.
      resources: { memoryBytes: 128 * MiB },
      ...more,
    };
  }

  async run(spec: RunSpecInput): Promise<string> {
    return (await this.client.run(spec)).run.id;
  }

  /** Whether the run's input was read to its end. */
  async isScanned(runId: string): Promise<boolean> {
    return (await this.client.status(runId)).progress.isScanned;
  }

  /** Names of published outputs. */
  outputs(): string[] {
    return readdirSync(this.output).filter((name) => !name.startsWith("."));
  }

  /** Everything in the output folder but the claim of a run that goes on. */
  found(): string[] {
    return readdirSync(this.output).filter((name) => name !== ".headroom-claims");
  }

  /** How often the job's process came to its end for each input. */
  ends(): Map<string, number> {
    const counts = new Map<string, number>();
    if (!existsSync(this.log)) return counts;
    for (const line of readFileSync(this.log, "utf8").split("\n")) {
      const name = line.slice(line.lastIndexOf("/") + 1);
      if (name !== "") counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  }

  inode(name: string): bigint {
    return statSync(join(this.output, name), { bigint: true }).ino;
  }

  /** Resolves with the status when the run has ended. Rides out a Redis that is away. */
  async ended(runId: string, timeout = 150_000): Promise<RunStatus> {
    await expect
      .poll(async () => (await this.store.runs.get(runId).catch(() => undefined))?.endedAtMs ?? null, {
        timeout,
        interval: 50,
      })
      .not.toBeNull();
    return this.client.status(runId);
  }

  /** The id in the token that holds the lock of a job, or undefined. */
  async holderOf(queue: string, jobId: string): Promise<string | undefined> {
    const token = await this.keys.get(`${kp}:${queue}:${jobId}:lock`);
    return token?.split(":")[0];
  }

  /** Job processes of this test that are alive. */
  orphans(): number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => environOf(pid).includes(this.marker));
  }

  /** What every run must have left behind, whatever happened to it. */
  async expectWhole(runId: string, names: readonly string[] = [...this.golden.keys()]): Promise<void> {
    await this.#expectOutputs(names);
    const record = await this.store.runs.get(runId);
    const digests = new Map<string, string | null>();
    const paths: string[] = [];
    for await (const row of this.store.files.all(runId, record?.epoch ?? 0)) {
      paths.push(row.path);
      if (row.outcome === "succeeded") digests.set(row.path, row.outputSha256);
    }
    expect(paths.sort(), "manifest rows").toEqual([...this.golden.keys()].sort());
    for (const name of names) expect(digests.get(name), `row of ${name}`).toBe(sha256(this.#goldenOf(name)));
    expect(record?.counts, "counts").toMatchObject({ total: this.golden.size, succeeded: names.length });
    await this.expectNothingLeft(runId);
  }

  async #expectOutputs(names: readonly string[]): Promise<void> {
    // The store is told of the end before the folder is given back.
    await expect.poll(() => readdirSync(this.output).filter((name) => name.startsWith(".")), PATIENT).toEqual([]);
    const found = readdirSync(this.output);
    expect(found.sort(), "outputs").toEqual(names.map((name) => `${name}.output`).sort());
    for (const name of names) {
      const output = readFileSync(join(this.output, `${name}.output`), "utf8");
      expect(output, `output of ${name}`).toBe(this.#goldenOf(name));
    }
  }

  #goldenOf(name: string): string {
    return this.golden.get(name) ?? "";
  }

  /** No process, no journal, no open job, and a live side that agrees with the store. */
  async expectNothingLeft(runId: string): Promise<void> {
    await expect.poll(() => this.orphans(), PATIENT).toEqual([]);
    await expect.poll(() => this.#leftovers(), PATIENT).toEqual([]);
    const record = await this.store.runs.get(runId);
    await expect.poll(() => this.keys.hget(`${kp}:run:${runId}`, "state"), PATIENT).toBe(record?.state);
    expect(await this.keys.ttl(`${kp}:run:${runId}`)).toBeGreaterThan(0);
    const counters = await this.keys.hmget(`${kp}:run:${runId}`, "total", "succeeded");
    expect(counters.map(Number)).toEqual([record?.counts?.total, record?.counts?.succeeded]);
  }

  async #leftovers(): Promise<string[]> {
    const left = [...(await this.keys.keys(`${kp}:inflight:*`)), ...(await this.keys.keys(`${kp}:outputs`))];
    for (const { name } of await this.#queues.list()) {
      const counts = await this.#queues
        .queue(name)
        .getJobCounts("waiting", "active", "delayed", "prioritized", "waiting-children", "failed");
      for (const [state, jobs] of Object.entries(counts)) if (jobs > 0) left.push(`${jobs} ${state} in ${name}`);
    }
    return left;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const started of this.processes.values()) await started[Symbol.asyncDispose]();
    await this.client.close();
    await this.#queues.close();
    await closeRedis(this.#connection);
    await this.store.close();
    await this.#redis[Symbol.asyncDispose]();
    this.scratch[Symbol.dispose]();
  }
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function environOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return ""; // It ended in between, or is a zombie.
  }
}

/** Whether all of a process stands still: `T` behind the name in /proc/PID/stat. */
function isStopped(pid: number): boolean {
  return readFileSync(`/proc/${pid}/stat`, "utf8").includes(") T ");
}
