import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli, type Running } from "./cli-process.ts";

interface Urls {
  readonly board: string;
  readonly intake: string;
  readonly metrics: string;
}

async function urlsOf(up: Running): Promise<Urls> {
  await expect.poll(() => up.stdout().includes("\n") || up.child.exitCode !== null, { timeout: 60_000 }).toBe(true);
  return JSON.parse(up.stdout()) as Urls;
}

const ports = ["--board-port", "0", "--intake-port", "0", "--ops-port", "0"];

describe("headroom up", () => {
  test("serves board, intake and metrics, and its worker runs what the same data folder asks for", async () => {
    await using cli = new Cli();
    const up = cli.start(["up", "--json", ...ports]);
    const urls = await urlsOf(up);
    expect((await fetch(urls.board)).status).toBe(200);
    expect(await (await fetch(urls.metrics)).text()).toContain("headroom_capacity");
    await expect.poll(async () => (await fetch(urls.metrics.replace("/metrics", "/readyz"))).status).toBe(200);
    cli.scratch.file("in/a.txt", "alpha");
    const run = await cli.call(["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"]);
    expect(run.code).toBe(0);
    expect(run.stderr).toContain(`the worker of process ${up.child.pid ?? 0}`);
    const detached = await cli.call(["run", "-i", "in", "-o", "out2", "--detach", "--", "cat", "{input}"]);
    const id = detached.stdout.trim();
    await expect
      .poll(async () => (await cli.json<{ state: string }>(["status", id, "--json"])).state, { timeout: 30_000 })
      .toBe("succeeded");
    expect(readFileSync(join(cli.scratch.path, "out2/a.txt.output"), "utf8")).toBe("alpha");
    const report = join(cli.home, "runs", id, "report.md");
    const written = readFileSync(report, "utf8");
    expect(written).toContain("**1 file succeeded**");
    expect(readdirSync(dirname(report)).toSorted()).toEqual(["report.json", "report.md"]);
    expect((await cli.call(["status", id])).stdout).toContain(report);
    expect((await cli.call(["report", id])).stdout).toBe(written);
    up.child.kill("SIGTERM");
    expect((await up.ended).code).toBe(0);
    expect(existsSync(join(cli.home, "redis/run/redis.sock"))).toBe(false);
  });

  test("refuses to detach when nobody would run it", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "alpha");
    const ended = await cli.call(["run", "-i", "in", "-o", "out", "--detach", "--", "cat", "{input}"]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("--detach: expected --redis, or a running headroom up");
  });
});
