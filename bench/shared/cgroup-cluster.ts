/** A worker in a memory cgroup and a scheduler beside it, as processes of the command line, with a Redis and a store of their own. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createClient, type Client } from "../../src/producer/client.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { Store } from "../../src/store/store.ts";
import { startRedis } from "../../tests/support/redis-server.ts";
import type { BenchCgroup } from "./bench-cgroup.ts";
import { benchLogger } from "./cluster.ts";

export interface CgroupCluster extends AsyncDisposable {
  readonly redisUrl: string;
  readonly store: Store;
  readonly client: Client;
  readonly workerPid: number;
}

/** What the jobs of some runs came to: files that did not succeed, and attempts that came to nothing. */
export interface RunsEnd {
  readonly failed: number;
  readonly wastedSeconds: number;
  readonly governorKills: number;
}

/** Starts everything, with its files in `folder`; the worker counts against the cgroup as its jobs do. */
export async function startCgroupCluster(
  folder: string,
  cgroup: BenchCgroup,
  workerArguments: readonly string[] = [],
): Promise<CgroupCluster> {
  const redis = await startRedis({ args: ["--appendonly", "yes"] });
  const storeUrl = `sqlite:${join(folder, "store.db")}`;
  const store = await openStore(storeUrl, benchLogger);
  await store.migrate();
  const client = await createClient({ redis: redis.url, store, logger: benchLogger });
  const place = ["--redis", redis.url, "--store", storeUrl, "--home", folder];
  const scheduler = await startProcess(["scheduler", ...place]);
  const worker = await startProcess(["worker", ...place, ...workerArguments], cgroup);
  return {
    redisUrl: redis.url,
    store,
    client,
    // The shell that entered the cgroup became it.
    workerPid: worker.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      await stop(worker);
      await stop(scheduler);
      await client.close();
      await store.close();
      await redis.stop();
    },
  };
}

/** Waits for runs to end. */
export async function endOf({ client, store }: CgroupCluster, runIds: readonly string[]): Promise<RunsEnd> {
  const ends = await Promise.all(runIds.map((id) => client.wait(id)));
  let wastedMs = 0;
  let governorKills = 0;
  for (const runId of runIds) {
    for (const attempt of await store.files.attempts(runId, { limit: 1_000 })) {
      wastedMs += attempt.durationMs ?? 0;
      if (attempt.failureClass === "out-of-memory") governorKills += 1;
    }
  }
  const failed = ends.reduce((sum, { counts }) => sum + counts.failed + counts.quarantined, 0);
  return { failed, wastedSeconds: wastedMs / 1_000, governorKills };
}

async function startProcess(arguments_: readonly string[], cgroup?: BenchCgroup): Promise<ChildProcess> {
  const command = [process.execPath, "bin/headroom.js", ...arguments_];
  const child =
    cgroup === undefined
      ? spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", "ignore", "pipe"] })
      : spawn("sh", cgroup.entering(command), { stdio: ["ignore", "ignore", "pipe"] });
  const lines = createInterface(child.stderr);
  lines.on("line", (line) => {
    if (process.env["BENCH_LOG"] !== undefined) process.stderr.write(`${line}\n`);
  });
  await once(lines, "line");
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}
