import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startEmbeddedRedis, type EmbeddedRedis } from "../../../src/platform/embedded-redis.ts";
import { makeFiles, MAX_SOCKET_BYTES, readRecord } from "../../../src/platform/embedded-redis-files.ts";
import { identityOf } from "../../../src/platform/process-identity.ts";
import { checkRedis } from "../../../src/platform/redis-check.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { unixTarget } from "../../../src/platform/redis-target.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { startRedis } from "../../support/redis-server.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";
import { runTs, type TsProcess } from "../../support/ts-process.ts";

const userFile = "integration/platform/processes/embedded-user.ts";

function tempHome(): string {
  const temp = makeTempFolder();
  onTestFinished(() => {
    const pid = readRecord(makeFiles(temp.path))?.server?.pid;
    // A server that a test left behind must not outlive it.
    if (pid !== undefined && identityOf(pid) !== undefined) process.kill(pid, "SIGKILL");
    temp[Symbol.dispose]();
  });
  return temp.path;
}

const start = (home: string, env: Record<string, string | undefined> = process.env) =>
  startEmbeddedRedis({ home, logger: quietLogger, maxMemoryBytes: 64 * 1024 * 1024, env });

async function ready(user: TsProcess): Promise<{ url: string; pid: number }> {
  return JSON.parse((await user.line("ready ")).slice("ready ".length)) as { url: string; pid: number };
}

async function withRedis<T>(url: string, work: (redis: ReturnType<typeof openRedis>) => Promise<T>): Promise<T> {
  const redis = openRedis(url, "command", quietLogger);
  try {
    return await work(redis);
  } finally {
    await closeRedis(redis);
  }
}

const isRunning = (embedded: Pick<EmbeddedRedis, "pid">) => identityOf(embedded.pid) !== undefined;

describe("embedded redis", () => {
  test("runs a private server that is safe for jobs, and ends it", async () => {
    const home = tempHome();
    const embedded = await start(home);
    const facts = await withRedis(embedded.url, checkRedis);
    expect(facts).toMatchObject({
      pid: embedded.pid,
      hasAppendOnlyFile: true,
      maxMemoryPolicy: "noeviction",
      maxMemoryBytes: 64 * 1024 * 1024,
      warnings: [],
    });
    const { tcp, everysec } = await withRedis(embedded.url, async (redis) => ({
      tcp: await redis.config("GET", "port"),
      everysec: await redis.config("GET", "appendfsync"),
    }));
    expect(tcp).toEqual(["port", "0"]);
    expect(everysec).toEqual(["appendfsync", "everysec"]);
    const socket = join(home, "redis", "run", "redis.sock");
    expect(statSync(join(home, "redis", "run")).mode & 0o777).toBe(0o700);
    expect(statSync(socket).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(home, "redis", "redis.pid"), "utf8").trim()).toBe(String(embedded.pid));
    await Promise.all([embedded.stop(), embedded.stop()]);
    expect(isRunning(embedded)).toBe(false);
    expect(existsSync(socket)).toBe(false);
    expect(readdirSync(join(home, "redis", "leases"))).toEqual([]);
  });

  test("keeps its data over a stop and a start", async () => {
    const home = tempHome();
    const first = await start(home);
    await withRedis(first.url, (redis) => redis.set("key", "value"));
    await first.stop();
    const second = await start(home);
    expect(await withRedis(second.url, (redis) => redis.get("key"))).toBe("value");
    await second.stop();
  });

  test("keeps its data over a kill of the server, and starts another", async () => {
    const home = tempHome();
    const first = await start(home);
    await withRedis(first.url, (redis) => redis.set("key", "value"));
    process.kill(first.pid, "SIGKILL");
    await expect.poll(() => isRunning(first)).toBe(false);
    const second = await start(home);
    expect(second.pid).not.toBe(first.pid);
    expect(await withRedis(second.url, (redis) => redis.get("key"))).toBe("value");
    await first.stop();
    expect(isRunning(second)).toBe(true);
    await second.stop();
    expect(isRunning(second)).toBe(false);
  });

  test("is shared by processes that start at the same time, until the last one leaves", async () => {
    const home = tempHome();
    await using a = runTs(userFile, { args: [home] });
    await using b = runTs(userFile, { args: [home] });
    await using c = runTs(userFile, { args: [home] });
    const all = await Promise.all([ready(a), ready(b), ready(c)]);
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(1);
    const [server] = all;
    a.child.kill("SIGTERM");
    b.child.kill("SIGTERM");
    expect(await Promise.all([a.ended(), b.ended()])).toEqual([0, 0]);
    expect(isRunning(server)).toBe(true);
    c.child.kill("SIGTERM");
    expect(await c.ended()).toBe(0);
    expect(isRunning(server)).toBe(false);
  });

  test("survives kill -9 of its only user, and the next one takes it over and ends it", async () => {
    const home = tempHome();
    await using user = runTs(userFile, { args: [home] });
    const { url, pid } = await ready(user);
    await withRedis(url, (redis) => redis.set("key", "value"));
    user.child.kill("SIGKILL");
    await user.ended();
    expect(isRunning({ pid })).toBe(true);
    const next = await start(home);
    expect(next.pid).toBe(pid);
    expect(await withRedis(next.url, (redis) => redis.get("key"))).toBe("value");
    await next.stop();
    expect(isRunning(next)).toBe(false);
  });

  test("stays for a user that is left when another was killed", async () => {
    const home = tempHome();
    await using killed = runTs(userFile, { args: [home] });
    await ready(killed);
    const first = await start(home);
    const second = await start(home);
    killed.child.kill("SIGKILL");
    await killed.ended();
    await first.stop();
    expect(isRunning(second)).toBe(true);
    await second.stop();
    expect(isRunning(second)).toBe(false);
  });

  test("is in a session of its own, so that Ctrl-C in the terminal does not reach it", async () => {
    const embedded = await start(tempHome());
    const stat = readFileSync(`/proc/${embedded.pid}/stat`, "utf8");
    const [, , group, session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    expect([group, session]).toEqual([String(embedded.pid), String(embedded.pid)]);
    await embedded.stop();
  });

  test("takes a short socket path when the home's is too long, and removes it at the end", async () => {
    const home = join(tempHome(), "x".repeat(120));
    mkdirSync(home);
    const runtime = tempHome();
    const embedded = await start(home, { ...process.env, XDG_RUNTIME_DIR: runtime });
    expect(embedded.url).toMatch(new RegExp(`^unix://${runtime}/headroom-[0-9a-f]{16}/redis\\.sock$`));
    // Another process may have another runtime folder: what is written down counts.
    const second = await start(home, { ...process.env, XDG_RUNTIME_DIR: undefined });
    expect(second.url).toBe(embedded.url);
    expect(embedded.url.length - "unix://".length).toBeLessThanOrEqual(MAX_SOCKET_BYTES);
    await embedded.stop();
    await second.stop();
    expect(readdirSync(runtime)).toEqual([]);
  });

  test("works in a home with spaces, quotes and letters beyond ASCII", async () => {
    const home = join(tempHome(), 'a "b" \\ü %41?');
    mkdirSync(home);
    const embedded = await start(home);
    expect(await withRedis(embedded.url, (redis) => redis.ping())).toBe("PONG");
    await embedded.stop();
  });

  test("refuses a socket that another server answers", async () => {
    const home = tempHome();
    await using other = await startRedis();
    const files = makeFiles(home);
    mkdirSync(join(files.folder, "run"), { mode: 0o700 });
    symlinkSync(other.socket, join(files.folder, "run", "redis.sock"));
    await expect(start(home)).rejects.toThrow(
      new RegExp(`expected our own redis server on .*redis.sock, found another one \\(pid ${other.pid},`),
    );
    expect(await withRedis(other.url, (redis) => redis.ping())).toBe("PONG");
  });

  test("refuses a server whose run id is not the recorded one", async () => {
    const home = tempHome();
    const embedded = await start(home);
    const files = makeFiles(home);
    const text = readFileSync(files.record, "utf8");
    writeFileSync(files.record, text.replace(/"runId":"[0-9a-f]+"/, `"runId":"${"0".repeat(40)}"`));
    await expect(start(home)).rejects.toThrow(/found another one/);
    writeFileSync(files.record, text);
    await embedded.stop();
  });

  test("says what the server said when it does not start", async () => {
    const home = tempHome();
    const embedded = startEmbeddedRedis({ home, logger: quietLogger, maxMemoryBytes: -1 });
    await expect(embedded).rejects.toThrow(/expected redis to keep running, found it ended; .*redis\.log says: /);
  });

  test("is reached by what openRedis takes", async () => {
    const embedded = await start(tempHome());
    expect(embedded.url).toBe(unixTarget(decodeURIComponent(embedded.url.slice("unix://".length))));
    await embedded.stop();
  });
});
