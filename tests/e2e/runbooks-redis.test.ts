/** The pages of docs/runbooks about Redis, played. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startWithUsers } from "../support/matrix.ts";
import { SentinelGroup } from "../support/redis-sentinel.ts";
import { playRunbook, RunbookCluster } from "../support/runbook.ts";

test("redis-out-of-memory", async () => {
  await using cluster = await RunbookCluster.open({ args: ["--appendonly", "yes"] });
  const redisCli = `redis-cli -s ${cluster.redis.socket}`;
  cluster.env["REDIS_CLI"] = redisCli;
  await cluster.start(["worker"]);
  await playRunbook("redis-out-of-memory", cluster, async () => {
    cluster.env["RUN"] = await cluster.enqueue(["sh", "-c", 'sleep 0.3; cat "$1"', "job", "{input}"], { files: 20 });
    expect((await cluster.sh(`${redisCli} CONFIG SET maxmemory 1mb`)).code).toBe(0);
  });
});

test("redis-disk", async () => {
  await using cluster = await RunbookCluster.open({ args: ["--appendonly", "yes"] });
  const redisCli = `redis-cli -s ${cluster.redis.socket}`;
  Object.assign(cluster.env, { REDIS_CLI: redisCli, REDIS_DIR: cluster.redis.folder, MAKE_ROOM: "true" });
  await playRunbook("redis-disk", cluster, async () => {
    expect((await cluster.sh(`${redisCli} CONFIG SET appendonly no`)).code).toBe(0);
  });
});

test("redis-down", async () => {
  await using cluster = await RunbookCluster.open({ args: ["--appendonly", "yes"] });
  const { socket, folder } = cluster.redis;
  const settings = `--port 0 --unixsocket ${socket} --dir ${folder} --save "" --appendonly yes --daemonize yes`;
  cluster.env["REDIS_CLI"] = `redis-cli -s ${socket}`;
  cluster.env["START_REDIS"] = `redis-server ${settings}`;
  await cluster.start(["worker"]);
  try {
    await playRunbook("redis-down", cluster, async () => {
      cluster.env["RUN"] = await cluster.enqueue(["sh", "-c", 'sleep 2; cat "$0"', "{input}"], { files: 5 });
      await cluster.redis.kill();
    });
  } finally {
    await cluster.sh(`redis-cli -s ${socket} SHUTDOWN NOSAVE`);
  }
});

test("redis-failover", async () => {
  await using group = await SentinelGroup.start({ args: ["--min-replicas-to-write", "1"] });
  await using cluster = await RunbookCluster.open();
  const { server, port } = await group.primary();
  const config = ["bind 127.0.0.1", `port ${port}`, `dir ${server.folder}`, "appendonly yes"].join("\n");
  cluster.env["HEADROOM_REDIS_URL"] = group.url;
  cluster.env["SENTINEL_PORT"] = /:(\d+),/.exec(group.url)?.[1] ?? "";
  cluster.env["REDIS_CONF"] = cluster.cli.scratch.file("redis.conf", `${config}\n`);
  try {
    await playRunbook("redis-failover", cluster, async () => {
      await server.kill();
      await group.untilLed(server);
    });
  } finally {
    await cluster.sh(`redis-cli -p ${port} SHUTDOWN NOSAVE`);
  }
});

test("restore", async () => {
  await using cluster = await RunbookCluster.open();
  cluster.env["RUN"] = await cluster.enqueue(["cat", "{input}"], { files: 3 });
  cluster.env["BACKUP"] = join(cluster.cli.scratch.path, "backup");
  const backup = await cluster.sh('headroom backup --to "$BACKUP"');
  expect(backup.code, backup.output).toBe(0);
  await playRunbook("restore", cluster, async () => {
    expect((await cluster.sh(`redis-cli -s ${cluster.redis.socket} FLUSHALL`)).code).toBe(0);
    for (const suffix of ["", "-wal", "-shm"]) {
      rmSync(join(cluster.cli.scratch.path, `store.db${suffix}`), { force: true });
    }
  });
});

test("key-rotation", async () => {
  const server = await startWithUsers("worker");
  await using cluster = await RunbookCluster.open();
  try {
    const redisCli = `redis-cli -s ${server.socket} --user admin --pass secret --no-auth-warning`;
    Object.assign(cluster.env, { REDIS_CLI: redisCli, OLD_PASSWORD: "leaked", NEW_PASSWORD: "fresh" });
    await playRunbook("key-rotation", cluster, async () => {
      expect((await cluster.sh(`${redisCli} ACL SETUSER worker '>leaked'`)).code).toBe(0);
    });
  } finally {
    await server.stop();
  }
});
