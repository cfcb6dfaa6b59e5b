/** Law 8: a worker that cannot claim says so at its readiness, stays alive, and works again by itself. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startRedis } from "../../support/redis-server.ts";
import { Cli } from "../cli/cli-process.ts";

const PATIENT = { timeout: 60_000, interval: 100 };

test("a worker without Redis is alive and not ready, and runs jobs again when Redis is back", async () => {
  await using redis = await startRedis({ args: ["--appendonly", "yes"] });
  await using cli = new Cli();
  cli.scratch.file("in/a", "alpha");
  const env = { HEADROOM_REDIS_URL: redis.url };
  const worker = cli.start(["worker"], { env });
  const find = () => /"url":"(http:[^"]+)"[^\n]*operations server listens/.exec(worker.stderr())?.[1];
  await expect.poll(find, PATIENT).toBeDefined();
  const statusOf = async (path: string) => (await fetch(`${find() ?? ""}${path}`)).status;
  await expect.poll(() => statusOf("/readyz"), PATIENT).toBe(200);
  await redis.kill();
  await expect.poll(() => statusOf("/readyz"), PATIENT).toBe(503);
  expect(await statusOf("/livez")).toBe(200);
  await redis.restart();
  await expect.poll(() => statusOf("/readyz"), PATIENT).toBe(200);
  const run = await cli.call(["run", "-i", "in", "-o", "out", "--", "cat", "{input}"], { env });
  expect(run).toMatchObject({ code: 0 });
  expect(readFileSync(join(cli.scratch.path, "out/a.output"), "utf8")).toBe("alpha");
});
