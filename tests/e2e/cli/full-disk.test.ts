/** The disk of the outputs is full: nothing is lost, no attempt is burned, and what fits elsewhere goes on. */
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startRedis } from "../../support/redis-server.ts";
import { canMount, smallDisk } from "../../support/small-disk.ts";
import { Cli } from "./cli-process.ts";

const PATIENT = { timeout: 90_000, interval: 100 };
const SMALL = 256 * 1024;
const BIG = 1_000_000;

interface RunJson {
  readonly id: string;
  readonly state: string;
  readonly files: Record<string, number>;
}

function inputs(cli: Cli): void {
  cli.scratch.file("in/big", "x".repeat(BIG));
  for (let at = 0; at < 20; at += 1) cli.scratch.file(`in/small-${at}`, String(at));
}

describe.runIf(canMount)("headroom run, onto a disk that is full", () => {
  test("publishes what fits, says what it waits for, and goes on by itself when there is room", async () => {
    await using cli = new Cli();
    const out = cli.scratch.folder("out");
    using disk = smallDisk(out, SMALL);
    inputs(cli);
    const running = cli.start(["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"]);
    await expect.poll(() => running.stderr(), PATIENT).toMatch(/waits: the disk of \S+ has no room/);
    await expect.poll(() => readdirSync(out).filter((name) => name.endsWith(".output")).length, PATIENT).toBe(20);
    expect(readdirSync(out).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    disk.grow(16 * SMALL);
    const run = JSON.parse((await running.ended).stdout) as RunJson;
    expect(run).toMatchObject({ state: "succeeded", files: { total: 21, succeeded: 21 } });
    expect(statSync(join(out, "big.output")).size).toBe(BIG);
    expect(readdirSync(out).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("ends soon when nobody frees anything, keeps what it has, and is resumed when there is room", async () => {
    await using cli = new Cli();
    const out = cli.scratch.folder("out");
    using disk = smallDisk(out, SMALL);
    inputs(cli);
    const ended = await cli.call(["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"]);
    expect(ended).toMatchObject({ code: 3 });
    expect(ended.stderr).toMatch(/was cancelled: no room where the outputs go for 30 s: \d+ bytes free/);
    const run = JSON.parse(ended.stdout) as RunJson;
    expect(run).toMatchObject({ state: "cancelled", files: { total: 21, succeeded: 20, failed: 0, cancelled: 1 } });
    expect(readdirSync(out).filter((name) => name.startsWith("."))).toEqual([]);
    disk.grow(16 * SMALL);
    const resumed = await cli.json<RunJson>(["run", "--resume", run.id, "--json"]);
    expect(resumed).toMatchObject({ state: "succeeded", files: { total: 21, succeeded: 21 } });
  });

  test("holds no other run of the cluster up, shows its reason, and counts it", async () => {
    await using redis = await startRedis({ args: ["--appendonly", "yes"] });
    await using cli = new Cli();
    const out = cli.scratch.folder("out");
    using _disk = smallDisk(out, SMALL);
    inputs(cli);
    writeFileSync(join(out, "filler"), Buffer.alloc(SMALL));
    const env = { HEADROOM_REDIS_URL: redis.url };
    const worker = cli.start(["worker", "--max-processes", "1"], { env });
    const find = () => /"url":"(http:[^"]+)"[^\n]*operations server listens/.exec(worker.stderr())?.[1];
    await expect.poll(find, PATIENT).toBeDefined();
    const args = ["run", "-i", "in", "-o"];
    const full = (await cli.call([...args, "out", "--detach", "--", "cat", "{input}"], { env })).stdout.trim();
    const explained = async () => (await cli.call(["explain", full], { env })).stdout;
    await expect.poll(explained, PATIENT).toMatch(/has no room: 0 MiB free/);
    const other = await cli.json<RunJson>([...args, "other", "--json", "--", "cat", "{input}"], { env });
    expect(other).toMatchObject({ state: "succeeded", files: { total: 21, succeeded: 21 } });
    const metrics = await (await fetch(`${find() ?? ""}/metrics`)).text();
    expect(metrics).toMatch(/headroom_admissions_total\{[^}]*reason="DISK_FULL"[^}]*\} [1-9]/);
    rmSync(join(out, "filler"));
    const small = () => readdirSync(out).filter((name) => name.startsWith("small-")).length;
    await expect.poll(small, PATIENT).toBe(20);
    expect(await cli.json<RunJson>(["cancel", full, "--json"], { env })).toMatchObject({
      state: expect.any(String) as string,
    });
  });
});
