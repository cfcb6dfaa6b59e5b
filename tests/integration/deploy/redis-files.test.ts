/** The files of deploy/redis, read by real servers as they are: only ports and folders are theirs. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { keys } from "../../../src/contract/queues.ts";
import { MiB } from "../../../src/contract/resources.ts";
import { findRedisBinary } from "../../../src/platform/redis-binary.ts";
import { checkRedis } from "../../../src/platform/redis-check.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { freePort } from "../../support/free-port.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { Scratch } from "../../support/scratch.ts";

const files = join(import.meta.dirname, "../../../deploy/redis");
const PATIENT = { timeout: 50_000, interval: 100 };

interface Started {
  readonly child: ChildProcess;
  readonly port: number;
}

function scratchFolder(): Scratch {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  return scratch;
}

type Changes = Readonly<Record<string, string>>;

/** A copy, since Sentinel and servers behind it write to theirs; with other words where a file leaves them to its reader. */
function copyOf(folder: string, name: string, changes: Changes = {}): string {
  let text = readFileSync(join(files, name), "utf8");
  for (const [from, to] of Object.entries(changes)) {
    expect(text, name).toContain(from);
    text = text.replaceAll(from, to);
  }
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Starts a server over a configuration file; it is ended with the test. */
async function start(config: string, args: readonly string[], port?: number): Promise<Started> {
  const binary = await findRedisBinary({ logger: quietLogger });
  const own = port ?? (await freePort());
  const child = spawn(binary.path, [config, "--port", String(own), "--dir", dirname(config), ...args], {
    stdio: "ignore",
    env: { ...process.env, ...binary.env },
  });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return { child, port: own };
}

const replicaOf = ({ port }: Started): readonly string[] => ["--replicaof", "127.0.0.1", String(port)];

function connect(target: string): Redis {
  const redis = openRedis(target, "command", quietLogger);
  onTestFinished(() => closeRedis(redis));
  return redis;
}

/** Three Sentinels that watch a primary and know each other and its replica, without which there is no failover. */
async function watch(scratch: Scratch, primary: Started, changes: Changes = {}): Promise<string> {
  const ports: number[] = [];
  for (let at = 0; at < 3; at += 1) {
    const all = { "127.0.0.1 6379": `127.0.0.1 ${primary.port}`, ...changes };
    ports.push((await start(copyOf(scratch.folder(`sentinel-${at}`), "sentinel.conf", all), ["--sentinel"])).port);
  }
  for (const port of ports) {
    const sentinel = connect(`redis://127.0.0.1:${port}`);
    await expect.poll(() => sentinel.info("sentinel"), PATIENT).toMatch(/status=ok,\S+,slaves=1,sentinels=3/);
  }
  return `${ports.map((port) => `127.0.0.1:${port}`).join(",")}/jobs`;
}

describe("deploy/redis", () => {
  test("redis.conf is a safe server, and tells nothing that must be mended", async () => {
    const { port } = await start(copyOf(scratchFolder().path, "redis.conf"), []);
    const facts = await checkRedis(connect(`redis://127.0.0.1:${port}`), { durability: "appendonly" });
    expect(facts).toMatchObject({
      ...{ hasAppendOnlyFile: true, hasSnapshots: true, maxMemoryPolicy: "noeviction" },
      ...{ maxMemoryBytes: 512 * MiB, warnings: [] },
    });
  });

  test("sentinel.conf finds the primary, and puts the replica in its place", async () => {
    const scratch = scratchFolder();
    const primary = await start(copyOf(scratch.folder("primary"), "redis.conf"), []);
    await start(copyOf(scratch.folder("replica"), "redis.conf"), replicaOf(primary));
    const redis = connect(`redis+sentinel://${await watch(scratch, primary)}`);
    await redis.set("{headroom}:before", "1");
    await expect.poll(() => redis.wait(1, 100), PATIENT).toBe(1);
    primary.child.kill("SIGKILL");
    await expect.poll(() => redis.set("{headroom}:after", "1").catch(String), PATIENT).toBe("OK");
    expect(await redis.get("{headroom}:before")).toBe("1");
    expect(await redis.info("server")).not.toContain(`tcp_port:${primary.port}`);
  });

  test("with users.acl and what redis.conf says of Sentinel, a lone primary takes no write and a failover passes", async () => {
    const scratch = scratchFolder();
    const users = copyOf(scratch.path, "users.acl", { ">PASSWORD": ">secret" });
    const changes = {
      "# min-replicas-to-write": "min-replicas-to-write",
      "# min-replicas-max-lag": "min-replicas-max-lag",
      "# aclfile /etc/redis/users.acl": `aclfile ${users}`,
      "# masteruser replica": "masteruser replica",
      "# masterauth PASSWORD": "masterauth secret",
    };
    const config = copyOf(scratch.folder("primary"), "redis.conf", changes);
    const primary = await start(config, []);
    const alone = connect(`redis://worker:secret@127.0.0.1:${primary.port}`);
    await expect(alone.set("{headroom}:alone", "1")).rejects.toThrow("NOREPLICAS");
    await start(copyOf(scratch.folder("replica"), "redis.conf", changes), replicaOf(primary));
    await expect.poll(() => alone.info("replication"), PATIENT).toMatch(/slave0:\S+state=online/);
    const hosts = await watch(scratch, primary, { "# sentinel auth": "sentinel auth", PASSWORD: "secret" });
    const redis = connect(`redis+sentinel://worker:secret@${hosts}`);
    const { replication } = await checkRedis(redis, { durability: "appendonly" });
    expect(replication).toMatchObject({ minReplicasToWrite: 1, replicas: [{ state: "online" }] });
    await expect.poll(() => redis.set("{headroom}:before", "1").catch(String), PATIENT).toBe("OK");
    await redis.wait(1, 5_000);
    primary.child.kill("SIGKILL");
    const kept = () => redis.get("{headroom}:before").catch(() => undefined);
    await expect.poll(kept, PATIENT).toBe("1");
    await expect(redis.set("{headroom}:after", "1")).rejects.toThrow("NOREPLICAS");
    // The former primary comes back and follows: Sentinel tells it so.
    await start(config, [], primary.port);
    await expect.poll(() => redis.set("{headroom}:after", "1").catch(String), PATIENT).toBe("OK");
  });

  test("with users.acl what scripts have written is there after a restart, and nobody is the user default", async () => {
    const scratch = scratchFolder();
    const users = copyOf(scratch.path, "users.acl", { ">PASSWORD": ">secret" });
    const config = copyOf(scratch.path, "redis.conf", { "# aclfile /etc/redis/users.acl": `aclfile ${users}` });
    const { child, port } = await start(config, []);
    const ended = once(child, "exit");
    const worker = connect(`redis://worker:secret@127.0.0.1:${port}`);
    const both = `redis.call("set", KEYS[1], "1") redis.call("set", KEYS[2], "1")`;
    await worker.eval(both, 2, "{headroom}:one", "{headroom}:two");
    child.kill("SIGTERM");
    await ended;
    await start(config, [], port);
    const count = () => worker.exists("{headroom}:one", "{headroom}:two").catch(String);
    await expect.poll(count, PATIENT).toBe(2);
    for (const [login, refusal] of [
      ["", "NOAUTH"],
      ["default:secret@", "WRONGPASS"],
    ] as const) {
      const nobody = connect(`redis://${login}127.0.0.1:${port}`);
      await expect(nobody.get("{headroom}:one"), login).rejects.toThrow(refusal);
    }
  });

  test("the user of an autoscaler may take the lengths of the lists of wanted workers, and nothing else", async () => {
    const scratch = scratchFolder();
    const users = copyOf(scratch.path, "users.acl", { ">PASSWORD": ">secret" });
    const changes = { "# aclfile /etc/redis/users.acl": `aclfile ${users}` };
    const { port } = await start(copyOf(scratch.path, "redis.conf", changes), []);
    const [scheduler, monitor] = ["scheduler", "monitor"].map((user) =>
      connect(`redis://${user}:secret@127.0.0.1:${port}`),
    );
    const ofCards = keys.workersWanted("{headroom}", ["gpu"]);
    for (const list of [keys.workersWanted("{headroom}"), ofCards]) await scheduler?.rpush(list, "", "", "");
    // As KEDA asks.
    const length = `if redis.call("type", KEYS[1]).ok == "list" then return redis.call("llen", KEYS[1]) end return 0`;
    expect(await monitor?.eval(length, 1, keys.workersWanted("{headroom}"))).toBe(3);
    expect(await monitor?.eval(length, 1, ofCards)).toBe(3);
    await expect(monitor?.llen("{headroom}:exec.default@14:wait")).rejects.toThrow("NOPERM");
    await expect(monitor?.eval(`return redis.call("del", KEYS[1])`, 1, "{headroom}:workers-wanted")).rejects.toThrow(
      /can't run this command|no permissions/, // Redis, Valkey
    );
  });
});
