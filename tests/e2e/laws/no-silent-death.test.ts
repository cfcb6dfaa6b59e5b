/** Law 8: a worker that cannot claim says so at its readiness, stays alive, and works again by itself. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseRunSpec } from "../../../src/contract/run-request.ts";
import { execPlace } from "../../../src/platform/job-queues.ts";
import { FaultCluster } from "../../support/fault-cluster.ts";
import { startRedis } from "../../support/redis-server.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { Cli } from "../cli/cli-process.ts";

const PATIENT = { timeout: 90_000, interval: 100 };

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

test("a worker whose blocking read hangs is not ready, runs what waits all the same, and mends itself", async () => {
  await using redis = await startRedis({ args: ["--appendonly", "yes"] });
  await using proxy = await TcpProxy.before(redis.socket);
  await using cli = new Cli();
  cli.scratch.file("in/a", "alpha");
  const worker = cli.start(["worker"], { env: { HEADROOM_REDIS_URL: proxy.url } });
  const find = () => /"url":"(http:[^"]+)"[^\n]*operations server listens/.exec(worker.stderr())?.[1];
  await expect.poll(find, PATIENT).toBeDefined();
  const ready = async () => {
    const answer = await fetch(`${find() ?? ""}/readyz`);
    return { status: answer.status, text: await answer.text() };
  };
  const pullAge = async () => {
    const text = await (await fetch(`${find() ?? ""}/metrics`)).text();
    return Number(/^headroom_pull_age_seconds(?:\{[^}]*\})? (\S+)$/m.exec(text)?.[1]);
  };
  const run = (output: string) =>
    cli.call(["run", "-i", "in", "-o", output, "--", "cat", "{input}"], { env: { HEADROOM_REDIS_URL: redis.url } });
  await expect.poll(ready, PATIENT).toMatchObject({ status: 200 });
  expect(await run("before")).toMatchObject({ code: 0 });
  expect(proxy.freeze("bzpopmin")).toBe(1);
  await expect.poll(ready, PATIENT).toMatchObject({ status: 503 });
  expect((await ready()).text).toContain("expected an answer from redis within 10000 ms");
  expect(await pullAge()).toBeGreaterThan(10);
  expect(await run("meanwhile")).toMatchObject({ code: 0 });
  expect(worker.stderr()).toContain("blocking read hangs, opening its connection anew");
  proxy.thaw();
  await expect.poll(pullAge, PATIENT).toBeLessThan(3);
  await expect.poll(ready, PATIENT).toMatchObject({ status: 200 });
  expect(await run("after")).toMatchObject({ code: 0 });
});

test("a worker whose commands hang opens their connection anew and goes on", async () => {
  await using redis = await startRedis({ args: ["--appendonly", "yes"] });
  await using proxy = await TcpProxy.before(redis.socket);
  await using cli = new Cli();
  cli.scratch.file("in/a", "alpha");
  const worker = cli.start(["worker"], { env: { HEADROOM_REDIS_URL: proxy.url } });
  await expect.poll(() => worker.stderr(), PATIENT).toContain('"started"');
  const run = (output: string) =>
    cli.call(["run", "-i", "in", "-o", output, "--", "cat", "{input}"], { env: { HEADROOM_REDIS_URL: redis.url } });
  expect(await run("before")).toMatchObject({ code: 0 });
  expect(proxy.freeze("evalsha")).toBeGreaterThan(0);
  proxy.thaw();
  expect(await run("after")).toMatchObject({ code: 0 });
  expect(worker.stderr()).toContain("redis takes nothing, opening its connection anew");
});

test("a worker whose loop hangs though Redis is well ends with an error, and its jobs go to the one after it", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(6);
  const hanging = await cluster.worker({ hangAfterClaims: 2, drainMs: 2_000, stopMs: 5_000 });
  const spec = cluster.spec("sleep 0.05", { chunk: { maxFiles: 1 } });
  const runId = await cluster.run(spec);
  await hanging.line("pull loop hangs, only a new process helps");
  expect(await hanging.ended()).toBe(1);
  const waiting = await cluster.queues.queue(execPlace(parseRunSpec(spec)).name).getJobCounts("wait", "prioritized");
  expect(Object.values(waiting).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  await cluster.worker();
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  await cluster.expectWhole(runId);
});
