import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { findRedisBinary, INSTALL_COMMAND } from "../../../src/platform/redis-binary.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";
import { runTs } from "../../support/ts-process.ts";

function tempFolder(): string {
  const temp = makeTempFolder();
  onTestFinished(() => {
    temp[Symbol.dispose]();
  });
  return temp.path;
}

function script(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** A PATH with what the system has, but for every Redis. */
function pathWithoutRedis(): string {
  const bin = join(tempFolder(), "bin");
  mkdirSync(bin);
  for (const folder of ["/usr/bin", "/usr/sbin"]) {
    for (const tool of readdirSync(folder)) {
      if (!/redis|valkey/.test(tool) && !existsSync(join(bin, tool))) symlinkSync(join(folder, tool), join(bin, tool));
    }
  }
  return bin;
}

const find = (env: Record<string, string>) => findRedisBinary({ logger: quietLogger, env });

describe("findRedisBinary", () => {
  test("takes valkey-server before redis-server, from the path", async () => {
    const folder = tempFolder();
    script(folder, "redis-server", "echo 'Redis server v=7.0.15 sha=0'");
    expect(await find({ PATH: folder })).toMatchObject({ path: join(folder, "redis-server"), version: "7.0.15" });
    script(folder, "valkey-server", "echo 'Valkey server v=8.1.1 sha=0'");
    expect(await find({ PATH: folder })).toMatchObject({ path: join(folder, "valkey-server"), version: "8.1.1" });
  });

  test("takes the server that HEADROOM_REDIS_SERVER names, and no other", async () => {
    const folder = tempFolder();
    const named = script(folder, "mine", "echo 'Redis server v=6.2.0 sha=0'");
    expect(await find({ PATH: "", HEADROOM_REDIS_SERVER: named })).toMatchObject({ path: named, version: "6.2.0" });
    await expect(find({ HEADROOM_REDIS_SERVER: "/nonexistent" })).rejects.toThrow(
      /HEADROOM_REDIS_SERVER: expected the path of a redis-server 6\.2 or newer, found "\/nonexistent"/,
    );
    const old = script(folder, "old", "echo 'Redis server v=6.0.16 sha=0'");
    await expect(find({ HEADROOM_REDIS_SERVER: old })).rejects.toThrow(/found 6\.0\.16/);
    const broken = script(folder, "broken", "echo 'no such library' >&2; exit 127");
    await expect(find({ HEADROOM_REDIS_SERVER: broken })).rejects.toThrow(/HEADROOM_REDIS_SERVER: expected/);
  });

  test("names the one install command when there is nothing to find and nothing to fetch with", async () => {
    await expect(find({ PATH: tempFolder(), HOME: tempFolder() })).rejects.toThrow(
      `install it with: ${INSTALL_COMMAND}`,
    );
  });

  test("fetches the distribution's server without being root, once, and runs it", { timeout: 240_000 }, async () => {
    const home = tempFolder();
    // The suite may itself run on a server that it was told of.
    const own = { HEADROOM_REDIS_SERVER: undefined, HEADROOM_HOME: home };
    const env = { PATH: pathWithoutRedis(), HOME: home, XDG_CACHE_HOME: join(home, "cache"), ...own };
    await using first = runTs("integration/platform/processes/embedded-user.ts", { args: [home], env });
    const ready = JSON.parse((await first.line("ready ")).slice("ready ".length)) as { pid: number };
    expect(first.output()).toContain("fetching a redis server from the distribution's packages");
    const command = execFileSync("ps", ["-o", "args=", "-p", String(ready.pid)], { encoding: "utf8" });
    expect(command).toContain(join(home, "cache", "headroom", "redis"));
    first.child.kill("SIGTERM");
    expect(await first.ended()).toBe(0);
    await using second = runTs("integration/platform/processes/embedded-user.ts", { args: [home], env });
    await second.line("ready ");
    expect(second.output()).not.toContain("fetching");
    second.child.kill("SIGTERM");
    expect(await second.ended()).toBe(0);
  });
});
