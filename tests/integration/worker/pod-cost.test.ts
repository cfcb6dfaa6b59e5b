/** The deletion cost of a worker's pod, told to a small API server over real TLS. */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Clock } from "../../../src/platform/clock.ts";
import { PodCost } from "../../../src/worker/pod-cost.ts";
import { PodApi } from "../../support/pod-api.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

/** A worker whose jobs and whose time the test sets; `look` stands for a second that has gone by. */
function worker(api: PodApi) {
  const at = { ms: 1_000_000, startedMs: [] as number[] };
  const clock: Clock = { nowMs: () => at.ms, monotonicMs: () => at.ms, sleep: () => Promise.resolve() };
  const cost = new PodCost({ clock, logger: quietLogger, startedMs: () => at.startedMs }, api.place);
  const look = async (afterMs: number): Promise<number> => {
    at.ms += afterMs;
    cost.look();
    await cost.stop();
    return api.patches.length;
  };
  return { at, look };
}

const costOf = (cost: string) => ({
  metadata: { annotations: { "controller.kubernetes.io/pod-deletion-cost": cost } },
});

describe("deletion cost of a pod", () => {
  test("is told once for each bucket, over TLS, with the token of that moment", async () => {
    await using api = await PodApi.open();
    const { at, look } = worker(api);
    expect(await look(0)).toBe(1);
    expect(await look(1_000)).toBe(1);
    at.startedMs = [at.ms];
    api.renewToken("token-2");
    expect(await look(1_000)).toBe(2);
    at.startedMs = [at.ms, at.ms];
    expect(await look(30_000)).toBe(2);
    expect(await look(30_000)).toBe(3);
    expect(api.patches.map(({ body }) => body)).toEqual([costOf("0"), costOf("100"), costOf("200")]);
    expect(api.patches[1]).toMatchObject({
      ...{ method: "PATCH", path: "/api/v1/namespaces/jobs/pods/worker-0" },
      ...{ type: "application/merge-patch+json", token: "Bearer token-2" },
    });
  });

  test("goes down only when the worker has been idle for a while", async () => {
    await using api = await PodApi.open();
    const { at, look } = worker(api);
    at.startedMs = [at.ms];
    expect(await look(0)).toBe(1);
    at.startedMs = [];
    expect(await look(1_000)).toBe(1);
    at.startedMs = [at.ms];
    expect(await look(1_000)).toBe(1);
    at.startedMs = [];
    expect(await look(1_000)).toBe(1);
    expect(await look(9_999)).toBe(1);
    expect(await look(1)).toBe(2);
    expect(api.patches.at(-1)?.body).toEqual(costOf("0"));
  });

  test("is tried again later by a worker that was refused, and never sent to who has another authority", async () => {
    await using api = await PodApi.open();
    const { look } = worker(api);
    api.status = 403;
    expect(await look(0)).toBe(1);
    expect(await look(29_999)).toBe(1);
    api.status = 200;
    expect(await look(1)).toBe(2);
    expect(await look(60_000)).toBe(2);
    await using foreign = await PodApi.open();
    copyFileSync(join(api.scratch.path, "ca.crt"), join(foreign.scratch.path, "ca.crt"));
    expect(await worker(foreign).look(0)).toBe(0);
  });
});
