import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startRedis } from "../../support/redis-server.ts";
import { canMount, smallDisk } from "../../support/small-disk.ts";
import { Cli } from "./cli-process.ts";

const runArgs = ["run", "-i", "in", "-o", "out", "--", "cat", "{input}"];
describe("headroom run, on infrastructure that is not as it should be", () => {
  test("refuses a Redis that evicts, with the command that mends it", async () => {
    await using cli = new Cli();
    await using redis = await startRedis({ args: ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"] });
    cli.scratch.file("in/a", "1");
    for (const args of [runArgs, ["worker"], ["producer", "--port", "0"]]) {
      const ended = await cli.call([...args.slice(0, 1), "--redis", redis.url, ...args.slice(1)]);
      expect(ended).toMatchObject({ code: 3 });
      expect(ended.stderr).toContain("redis must have maxmemory-policy noeviction, found allkeys-lru");
      expect(ended.stderr).toContain("CONFIG SET maxmemory-policy noeviction");
    }
  });

  test("says that a Redis has no memory left, in the words of Redis", async () => {
    await using cli = new Cli();
    await using redis = await startRedis({ args: ["--maxmemory", "1", "--maxmemory-policy", "noeviction"] });
    cli.scratch.file("in/a", "1");
    const ended = await cli.call(runArgs, { env: { HEADROOM_REDIS_URL: redis.url } });
    expect(ended).toMatchObject({ code: 3, stdout: "" });
    expect(ended.stderr).toContain("% full; at 100 % redis refuses every write");
    expect(ended.stderr).toMatch(/headroom: expected redis to take the command, found: OOM /);
  });

  test("says with exit code 3 which store does not answer, for every command that needs it", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a", "1");
    for (const args of [runArgs, ["runs"], ["export", "some"]]) {
      const ended = await cli.call(args, { env: { HEADROOM_STORE_URL: "postgres://user:secret@127.0.0.1:1/none" } });
      expect(ended).toMatchObject({ code: 3, stdout: "" });
      expect(ended.stderr).toContain("127.0.0.1:1/none: expected a server that answers");
      expect(ended.stderr).not.toContain("secret");
    }
  });

  test.runIf(canMount)("ends with exit code 3 when the data folder is full, without a trace of the code", async () => {
    await using cli = new Cli();
    using _disk = smallDisk(cli.scratch.folder("home"), 2 * 1024 * 1024);
    writeFileSync(join(cli.home, "filler"), Buffer.alloc(2 * 1024 * 1024 - 8_192));
    cli.scratch.file("in/a", "1");
    const ended = await cli.call(runArgs);
    expect(ended).toMatchObject({ code: 3, stdout: "" });
    expect(ended.stderr).toMatch(/no space left|disk is full|ENOSPC/);
    expect(ended.stderr).not.toContain("    at ");
  });

  test.runIf(canMount)("leaves no half of an export on a disk that is full", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a", "1");
    const run = await cli.json<{ id: string }>([...runArgs.slice(0, 1), "--json", ...runArgs.slice(1)]);
    using disk = smallDisk(cli.scratch.folder("small"), 4_096);
    const rows = join(cli.scratch.path, "small/rows.csv");
    writeFileSync(join(cli.scratch.path, "small/filler"), Buffer.alloc(4_096));
    const ended = await cli.call(["export", run.id, "-f", "csv", "-o", rows]);
    expect(ended.code).toBe(3);
    expect(ended.stderr).toMatch(/^headroom: the disk is full: ENOSPC[^\n]*\n$/);
    expect(readdirSync(join(cli.scratch.path, "small"))).toEqual(["filler"]);
    disk.grow(65_536);
    expect((await cli.call(["export", run.id, "-f", "csv", "-o", rows])).code).toBe(0);
  });
});
