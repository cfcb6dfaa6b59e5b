import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

const slowly = ["sh", "-c", 'touch "$0.started" && sleep 60 && cat "$0"', "{input}"];

describe("headroom run, interrupted", () => {
  test("ends its processes, says how to go on and exits 130", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const running = cli.start(["run", "-i", "in", "-o", "out", "--", ...slowly]);
    await expect.poll(() => existsSync(join(cli.scratch.path, "in/a.txt.started")), { timeout: 30_000 }).toBe(true);
    running.child.kill("SIGINT");
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    expect(ended.stderr).toContain("cancelling; press Ctrl-C again");
    expect(ended.stderr).toMatch(/headroom run --resume \w+/);
    expect(ended.stdout).toContain("run cancelled");
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual([]);
    const runs = await cli.json<{ state: string }[]>(["runs", "--json"]);
    expect(runs).toMatchObject([{ state: "cancelled" }]);
  });

  test("refuses a second run over the same output folder while the first goes on", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const running = cli.start(["run", "-i", "in", "-o", "out", "--", ...slowly]);
    await expect.poll(() => existsSync(join(cli.scratch.path, "in/a.txt.started")), { timeout: 30_000 }).toBe(true);
    const second = await cli.call(["run", "-i", "in", "-o", "out", "--", "cat", "{input}"]);
    expect(second.code).toBe(2);
    expect(second.stderr).toContain("expected no other run to write there");
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    const third = await cli.call(["run", "-i", "in", "-o", "out", "--exclude", "*.started", "--", "cat", "{input}"]);
    expect(third.code).toBe(0);
  });
});
