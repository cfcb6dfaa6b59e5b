/**
 * A rolling upgrade: the built product twice, the second one stamped with a newer version, a newer payload of jobs and a newer
 * schema. Both work beside each other with jobs in flight, in the order of docs/upgrade.md; nothing is lost and nothing fails.
 */
import { join } from "node:path";
import { expect, test } from "vitest";
import { keyPrefix, keys } from "../../src/contract/queues.ts";
import { PAYLOAD_VERSION } from "../../src/contract/jobs.ts";
import { closeRedis, openRedis } from "../../src/platform/redis.ts";
import { loadHeartbeats } from "../../src/platform/worker-heartbeats.ts";
import { copyNext, copyProduct } from "../support/product-copies.ts";
import { quietLogger } from "../support/quiet-logger.ts";
import { startRedis } from "../support/redis-server.ts";
import { Cli, type Running } from "./cli/cli-process.ts";

const PATIENT = { timeout: 90_000, interval: 50 };

interface FileRow {
  readonly path: string;
  readonly outcome: string;
  readonly attempts: number;
  readonly workerId: string;
}

async function ready(running: Running): Promise<Running> {
  const find = () => /"url":"(http:[^"]+)"[^\n]*operations server listens/.exec(running.stderr())?.[1];
  await expect.poll(find, PATIENT).toBeDefined();
  const status = () => fetch(`${find() ?? ""}/readyz`).then((answer) => answer.status);
  await expect.poll(status, PATIENT).toBe(200);
  return running;
}

async function stopped(running: Running): Promise<void> {
  running.child.kill("SIGTERM");
  expect((await running.ended).code).toBe(0);
}

test("two versions share a cluster while it is upgraded: nothing is lost, nothing fails, nothing is tried twice", async () => {
  await using server = await startRedis();
  await using cli = new Cli();
  const [old, next] = [copyProduct(join(cli.scratch.path, "v1")), copyNext(join(cli.scratch.path, "v2"))];
  const env = { HEADROOM_REDIS_URL: server.url, HEADROOM_STORE_URL: `sqlite:${join(cli.scratch.path, "store.db")}` };
  const start = (bin: string, args: readonly string[]) => ready(cli.start(args, { env, bin }));
  const worker = (bin: string, id: string) => start(bin, ["worker", "--worker-id", id, "-j", "2"]);
  for (let at = 0; at < 120; at += 1) cli.scratch.file(`in/${at}.txt`, `file ${at}\n`);
  const enqueue = async (bin: string, out: string) => {
    const chunk = { HEADROOM_CHUNK_MAX_FILES: "4" };
    const args = [
      "run",
      "-i",
      "in",
      "-o",
      out,
      "--detach",
      "--json",
      "--",
      "sh",
      "-c",
      'sleep 0.1; cat "$0"',
      "{input}",
    ];
    return (await cli.json<{ id: string }>(args, { env: { ...env, ...chunk }, bin })).id;
  };
  const rows = async (id: string) =>
    (await cli.call(["export", id], { env, bin: next })).stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as FileRow);
  const done = async (id: string) => (await rows(id)).length;

  const scheduler = await start(old, ["scheduler"]);
  const first = await worker(old, "old-1");
  const before = await enqueue(old, "before");
  await expect.poll(() => done(before), PATIENT).toBeGreaterThan(4);

  // The new scheduler brings the schema; an old worker that starts afterwards finds one that it does not know.
  const nextScheduler = await start(next, ["scheduler"]);
  const second = await worker(old, "old-2");
  const during = await enqueue(old, "during");
  const newer = await enqueue(next, "newer");
  const redis = openRedis(server.url, "command", quietLogger);
  try {
    // Only old workers are there: they leave what is newer, and say so.
    const reasons = async () =>
      (await loadHeartbeats(redis, keyPrefix("headroom"))).flatMap(({ waiting }) => waiting.map(({ code }) => code));
    await expect.poll(reasons, PATIENT).toContain("NEWER_PAYLOAD");
    const third = await worker(next, "new-1");
    const versions = async () =>
      Object.fromEntries(
        (await loadHeartbeats(redis, keyPrefix("headroom"))).map((beat) => [beat.workerId, beat.payloadVersion]),
      );
    await expect.poll(versions, PATIENT).toMatchObject({ "old-2": PAYLOAD_VERSION, "new-1": PAYLOAD_VERSION + 1 });
    await stopped(first);
    await stopped(scheduler);
    for (const id of [before, during, newer]) {
      const state = async () => (await cli.json<{ state: string }>(["status", id, "--json"], { env, bin: next })).state;
      await expect.poll(state, PATIENT).toBe("succeeded");
      const files = await rows(id);
      expect(files).toHaveLength(120);
      expect(files.filter(({ outcome, attempts }) => outcome !== "succeeded" || attempts !== 1)).toEqual([]);
    }
    expect(new Set((await rows(newer)).map(({ workerId }) => workerId))).toEqual(new Set(["new-1"]));
    expect(await redis.hgetall(keys.crashes(keyPrefix("headroom")))).toEqual({});
    await stopped(second);
    await stopped(third);
    await stopped(nextScheduler);
  } finally {
    await closeRedis(redis);
  }
});
