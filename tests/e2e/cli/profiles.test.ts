import { join } from "node:path";
import { expect, test } from "vitest";
import { GiB } from "../../../src/contract/resources.ts";
import { startRedis } from "../../support/redis-server.ts";
import { Cli } from "./cli-process.ts";

test("headroom profiles sets, shows and takes back, and refuses what no live worker could run", async () => {
  await using redis = await startRedis();
  await using cli = new Cli();
  const env = { HEADROOM_REDIS_URL: redis.url, HEADROOM_STORE_URL: `sqlite:${join(cli.scratch.path, "store.db")}` };
  const call = (...args: string[]) => cli.call(["profiles", ...args], { env });
  expect((await call()).stdout).toContain("nothing is set");
  const nobody = await call("set", "heavy", "labels=gpu,ssd");
  expect(nobody).toMatchObject({ code: 0, stderr: expect.stringContaining("no worker is alive") as string });

  const worker = cli.start(["worker", "--label", "gpu"], { env });
  const workers = async () => (await cli.json<{ workers: unknown[] }>(["status", "--json"], { env })).workers;
  await expect.poll(workers, { timeout: 60_000 }).toHaveLength(1);
  const refused = await call("set", "heavy", "memory=900TiB");
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(/labels: expected .*which comes nearest, carries gpu(?:, sandbox)?, found ssd/);
  expect(refused.stderr).toMatch(/memory: expected .*which comes nearest, takes \d.* MiB at most, found 943718400 MiB/);
  expect((await call("set", "heavy", "memory=1GiB", "memory=2GiB")).stderr).toContain("expected memory once");
  expect((await call("set", "heavy", "memroy=1GiB")).stderr).toContain('did you mean "memory"?');
  const set = await call("set", "heavy", "labels=gpu", "memory=1GiB", "--json");
  expect(JSON.parse(set.stdout)).toEqual({ profile: "heavy", set: { memory: GiB, labels: ["gpu"] } });
  const place = ["--redis", redis.url, "--store", env.HEADROOM_STORE_URL];
  const limits = await cli.call(["limits", "set", "max_processes=3", "--json", ...place]);
  expect(JSON.parse(limits.stdout)).toEqual({ target: "*", limits: { max_processes: 3 } });
  expect(await call("set", "other", "cpu=0.5", "labels=none", "--force")).toMatchObject({ code: 0 });
  expect(JSON.parse((await call("--json")).stdout)).toEqual({
    set: { heavy: { memory: GiB, labels: ["gpu"] }, other: { cpu: 0.5, labels: ["none"] } },
  });
  expect((await cli.call(["status"], { env })).stdout).toContain("profiles that were set: heavy, other");
  expect((await cli.call(["explain", "heavy"], { env })).stdout).toContain("in place of what their runs declare");
  expect((await call("reset", "nothing")).code).not.toBe(0);
  expect((await call("reset", "heavy")).code).toBe(0);
  expect(JSON.parse((await call("reset", "--json")).stdout)).toEqual({ removed: 1 });
  worker.child.kill("SIGTERM");
  await worker.ended;
});
