import { expect } from "vitest";
import { keyPrefix } from "../../../src/contract/queues.ts";
import { OutputRegistry } from "../../../src/platform/output-registry.ts";
import { test } from "../../support/redis.ts";

test("lists one run for a folder, and none above or below it", async ({ redis, prefix }) => {
  const outputs = new OutputRegistry(redis, keyPrefix(prefix));
  expect(await outputs.claim("/data/out/", "run1")).toBeUndefined();
  expect(await outputs.claim("/data/out", "run1")).toBeUndefined();
  for (const root of ["/data/out", "/data//out/./", "/data", "/", "/data/out/sub/deep"]) {
    expect(await outputs.claim(root, "run2"), root).toEqual({ root: "/data/out", runId: "run1" });
  }
  for (const root of ["/data/outer", "/data/ou"]) expect(await outputs.claim(root, root), root).toBeUndefined();
  await outputs.release("/data/out", "run2");
  expect(await outputs.claim("/data/out", "run2")).toEqual({ root: "/data/out", runId: "run1" });
  expect(await outputs.claim("/elsewhere", "run1")).toBeUndefined();
  expect(await outputs.claim("/data/out", "run2")).toBeUndefined();
  const listed = await outputs.list();
  expect(listed).toHaveLength(4);
  for (const { root, runId } of listed) await outputs.release(root, runId);
  expect(await outputs.list()).toEqual([]);
});
