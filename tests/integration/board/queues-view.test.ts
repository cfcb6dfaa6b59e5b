import { describe, expect } from "vitest";
import { fileEntry } from "../../../src/contract/files.ts";
import { defaultProfile, memoryOf } from "../../../src/contract/profiles.ts";
import { placeOf } from "../../../src/platform/job-queues.ts";
import { startBoard, testSpec } from "../../support/board-fixture.ts";
import { keepingLogger } from "../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../support/redis.ts";

const place = placeOf("exec", "default", defaultProfile, memoryOf(defaultProfile));
const files = Array.from({ length: 50 }, (_, index) => fileEntry.parse({ index, path: `f${index}`, bytes: 1 }));
const ref = { runId: "r1", epoch: 0, traceId: "t" };

interface ListedQueue {
  name: string;
  jobs: { id: string; data: { files: unknown[]; filesInAll: number }; externalUrl: { href: string } }[];
}

describe("queues view", () => {
  test("finds queues as they appear, cuts long payloads and links jobs to their run", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const list = async (active = "") => {
      const path = `/queues/api/queues?activeQueue=${encodeURIComponent(active)}&page=1&jobsPerPage=10`;
      return ((await (await fixture.ask(path)).json()) as { queues: ListedQueue[] }).queues;
    };
    expect(await list()).toEqual([]);
    await fixture.queues.addRun(ref, testSpec(), [{ chunk: "1", files }]);
    const queues = await list(place.name);
    expect(queues.map((queue) => queue.name).toSorted()).toEqual([
      "exec.default@14",
      "report.control@10",
      "scan.control@10",
    ]);
    const job = queues.find((queue) => queue.name === place.name)?.jobs[0];
    expect(job?.id).toBe("r1.0.c1");
    expect(job?.data.files).toHaveLength(20);
    expect(job?.data.filesInAll).toBe(50);
    expect(job?.externalUrl.href).toBe("/runs/r1");
    await deletePrefix(redis, prefix);
  });

  test("refuses what destroys or forges jobs, lets a pause through, and writes each down", async ({
    redis,
    prefix,
  }) => {
    const { logger, lines } = keepingLogger();
    await using fixture = await startBoard({ redis, prefix, logger });
    await fixture.queues.addRun(ref, testSpec(), [{ chunk: "1", files }]);
    const queue = `/queues/api/queues/${encodeURIComponent(place.name)}`;
    const json = { "content-type": "application/json" };
    const send = async (method: string, path: string, body: object = {}) =>
      (await fixture.ask(queue + path, { method, headers: json, body: JSON.stringify(body) })).status;
    expect(await send("PUT", "/obliterate")).toBe(403);
    expect(await send("PUT", "/clean/wait")).toBe(403);
    expect(await send("PUT", "/empty")).toBe(403);
    expect(await send("POST", "/add", { name: "exec", data: {} })).toBe(403);
    expect(await send("PATCH", "/r1.0.c1/update-data", { jobData: {} })).toBe(403);
    expect(await send("PUT", "/r1.0.c1/clean")).toBe(403);
    expect(await send("PUT", "/r1.0.c1/retry")).toBe(403);
    expect(await send("PUT", "/pause")).toBe(200);
    expect(await fixture.queues.queue(place.name).isPaused()).toBe(true);
    expect(await fixture.queues.queue(place.name).getWaitingCount()).toBe(1);
    const audited = lines().filter((line) => line["audit"] === true);
    expect(audited.map((line) => [line["route"], line["allowed"]])).toContainEqual([
      "/api/queues/:queueName/empty",
      false,
    ]);
    expect(audited).toHaveLength(8);
    await deletePrefix(redis, prefix);
  });
});
