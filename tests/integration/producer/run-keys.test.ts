/** What an idempotency key of the client stands for, with a store and without one. */
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";
import { IdempotencyKeyReusedError } from "../../../src/contract/errors.ts";
import { keyPrefix, keys } from "../../../src/contract/queues.ts";
import { breakRun } from "../../../src/platform/cancel-run.ts";
import { RunHash } from "../../../src/platform/run-hash.ts";
import { createClient } from "../../../src/producer/client.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../support/redis.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

const key = { idempotencyKey: "order-1" };

function requestOf(output: string) {
  return { command: ["/usr/bin/sha256sum", "{input}"], input: "/data/in", output };
}

const runsOf = async (redis: Redis, prefix: string) =>
  (await redis.keys(keys.run(keyPrefix(prefix), "*"))).filter((name) => !name.endsWith(":events")).length;

describe.each(["with", "without"])("%s a store", (which) => {
  async function open(redis: Redis, prefix: string) {
    const folder = makeTempFolder();
    const store = which === "with" ? await openStore(`sqlite:${folder.path}/store.db`, quietLogger) : undefined;
    await store?.migrate();
    const client = await createClient({ redis, prefix, ...(store && { store }) });
    const close = async () => {
      await client.close();
      await store?.close();
      folder[Symbol.dispose]();
      await deletePrefix(redis, prefix);
    };
    return { client, folder: folder.path, [Symbol.asyncDispose]: close };
  }

  test("a key is free again when its request was refused, and stands for one run from then on", async ({
    redis,
    prefix,
  }) => {
    await using cluster = await open(redis, prefix);
    const { client, folder } = cluster;
    const { run: holder } = await client.run(requestOf(folder));
    await expect(client.run(requestOf(folder), key)).rejects.toMatchObject({ code: "ERR_CONFLICT" });
    await redis.del(keys.outputs(keyPrefix(prefix)));
    const first = await client.run(requestOf(folder), key);
    const again = await client.run(requestOf(folder), key);
    expect([first.created, again.created]).toEqual([true, false]);
    expect(again.run.id).toBe(first.run.id);
    expect(first.run.id).not.toBe(holder.id);
  });

  test("calls at the same time with one key start one run", async ({ redis, prefix }) => {
    await using cluster = await open(redis, prefix);
    // Without outputs no folder keeps them apart.
    const request = { ...requestOf(cluster.folder), output: { root: cluster.folder, from: "none" as const } };
    const calls = await Promise.all(Array.from({ length: 8 }, () => cluster.client.run(request, key)));
    expect(new Set(calls.map(({ run }) => run.id)).size).toBe(1);
    expect(calls.filter(({ created }) => created)).toHaveLength(1);
    expect(await runsOf(redis, prefix)).toBe(1);
  });

  test.runIf(which === "with")("a key that the store alone knows is nobody's to refuse", async ({ redis, prefix }) => {
    await using cluster = await open(redis, prefix);
    const { client, folder } = cluster;
    const { run } = await client.run(requestOf(folder), key);
    await redis.del(...(await redis.keys(`${keyPrefix(prefix)}:idempotency:*`)));
    for (const output of [`${folder}/other`, folder, folder]) {
      expect(await client.run(requestOf(output), key)).toMatchObject({ created: false, run: { id: run.id } });
    }
  });

  test("another request under the key of one is refused, whatever its trace", async ({ redis, prefix }) => {
    await using cluster = await open(redis, prefix);
    const { client, folder } = cluster;
    const { run } = await client.run(requestOf(folder), key);
    const traced = { ...requestOf(folder), traceId: "0".repeat(31) + "1" };
    expect((await client.run(traced, key)).run.id).toBe(run.id);
    const other = client.run(requestOf(`${folder}/other`), key);
    await expect(other).rejects.toBeInstanceOf(IdempotencyKeyReusedError);
    await expect(other).rejects.toMatchObject({ code: "ERR_IDEMPOTENCY_KEY_REUSED" });
  });

  test("a key whose caller died before its run was there is taken over", async ({ redis, prefix }) => {
    await using cluster = await open(redis, prefix);
    // As an earlier version left it: the id alone.
    await redis.set(`${keyPrefix(prefix)}:idempotency:order-1`, "never-there");
    const { run, created } = await cluster.client.run(requestOf(cluster.folder), key);
    expect([created, run.id === "never-there"]).toEqual([true, false]);
  });
});

test("a client without a store tells why a run could not be carried out", async ({ redis, prefix }) => {
  const client = await createClient({ redis, prefix });
  const { run } = await client.run(requestOf("/data/out"));
  const kp = keyPrefix(prefix);
  const hash = new RunHash(redis, kp);
  await hash.set({ runId: run.id }, { startedAtMs: 1_000 });
  await breakRun({ redis, hash, kp }, run.id, "input /data/in: expected a folder, found nothing");
  await hash.move(run.id, ["cancelling"], "broken", { endedAtMs: 3_000 });
  expect(await client.wait(run.id)).toMatchObject({
    ...{ state: "broken", message: "input /data/in: expected a folder, found nothing", report: null },
    ...{ startedAtMs: 1_000, endedAtMs: 3_000, counts: { total: 0 } },
  });
  await client.close();
  await deletePrefix(redis, prefix);
});
