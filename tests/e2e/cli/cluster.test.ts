import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startRedis } from "../../support/redis-server.ts";
import { Cli, type Running } from "./cli-process.ts";

/** The operations URL that a process logs. */
async function opsUrlOf(running: Running): Promise<string> {
  const find = () => /"url":"(http:[^"]+)"[^\n]*operations server listens/.exec(running.stderr())?.[1];
  await expect.poll(find, { timeout: 60_000 }).toBeDefined();
  return find() ?? "";
}

describe("separate processes on one Redis and one store", () => {
  test("two workers and a scheduler serve a run that only follows, and a signal drains them", async () => {
    await using redis = await startRedis();
    await using cli = new Cli();
    const env = { HEADROOM_REDIS_URL: redis.url, HEADROOM_STORE_URL: `sqlite:${join(cli.scratch.path, "store.db")}` };
    const processes = [
      ["worker"],
      ["worker"],
      ["scheduler"],
      ["board", "--port", "0"],
      ["producer", "--port", "0"],
    ].map((args) => cli.start(args, { env }));
    for (const running of processes) {
      const url = await opsUrlOf(running);
      await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 30_000 }).toBe(200);
      expect((await fetch(`${url}/livez`)).status).toBe(200);
      expect(await (await fetch(`${url}/metrics`)).text()).toContain("headroom_build_info");
    }
    for (let at = 0; at < 20; at += 1) cli.scratch.file(`in/${at}.txt`, String(at));
    const ended = await cli.call(["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"], { env });
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({ state: "succeeded", files: { total: 20, succeeded: 20 } });
    expect(readFileSync(join(cli.scratch.path, "out/7.txt.output"), "utf8")).toBe("7");
    expect(existsSync(join(cli.home, "redis"))).toBe(false);
    const slow = ["sh", "-c", 'touch "$0.started" && sleep 60 && cat "$0"', "{input}"];
    const interrupted = cli.start(["run", "-i", "in", "-o", "slow", "--", ...slow], { env });
    const started = () => readdirSync(join(cli.scratch.path, "in")).some((name) => name.endsWith(".started"));
    await expect.poll(started, { timeout: 30_000 }).toBe(true);
    interrupted.child.kill("SIGINT");
    const cancelled = await interrupted.ended;
    expect(cancelled).toMatchObject({ code: 130, stdout: expect.stringContaining("run cancelled") as string });
    expect(cancelled.stderr).not.toContain("could not be cancelled");
    const status = await cli.json<{ workers: unknown[] }>(["status", "--json"], { env });
    expect(status.workers).toHaveLength(2);
    for (const { child } of processes) child.kill("SIGTERM");
    for (const { ended: end } of processes) expect((await end).code).toBe(0);
  });

  test("a run that no worker serves is ended by Ctrl-C, and another one by cancel", async () => {
    await using redis = await startRedis();
    await using cli = new Cli();
    const env = { HEADROOM_REDIS_URL: redis.url, HEADROOM_STORE_URL: `sqlite:${join(cli.scratch.path, "store.db")}` };
    cli.scratch.file("in/a.txt", "a");
    const run = ["run", "-i", "in", "-o", "out"];
    const running = cli.start([...run, "--", "cat", "{input}"], { env });
    await expect.poll(() => running.stderr(), { timeout: 30_000 }).toContain("no worker is alive");
    running.child.kill("SIGINT");
    const ended = await running.ended;
    expect(ended).toMatchObject({ code: 130, stdout: expect.stringContaining("run cancelled") as string });
    const { id } = await cli.json<{ id: string }>([...run, "--detach", "--json", "--", "cat", "{input}"], { env });
    expect(await cli.json(["cancel", id, "--json"], { env })).toMatchObject({ runId: id, state: "cancelled" });
    const runs = await cli.json<{ state: string }[]>(["runs", "--json"], { env });
    expect(runs.map(({ state }) => state)).toEqual(["cancelled", "cancelled"]);
    // What was said once per connection by a library is said once, by us.
    expect(ended.stderr).not.toContain("IMPORTANT!");
  });
});
