/** Law 9: what the queues view can do is refused behind its endpoints, not by a button that is not shown. */
import { createRequire } from "node:module";
import { describe, expect } from "vitest";
import { fileEntry } from "../../../src/contract/files.ts";
import { defaultProfile, memoryOf } from "../../../src/contract/profiles.ts";
import { placeOf } from "../../../src/platform/job-queues.ts";
import { startBoard, testSpec, type BoardFixture } from "../../support/board-fixture.ts";
import { deletePrefix, test } from "../../support/redis.ts";

const { name } = placeOf("exec", "default", defaultProfile, memoryOf(defaultProfile));
const ref = { runId: "r1", epoch: 0, traceId: "t" };
const files = [fileEntry.parse({ index: 0, path: "f", bytes: 1 })];
const json = { "content-type": "application/json" };

/** What may be done without `--allow-destructive`; every other action of the view is in the test below by itself. */
const harmless = new Set([
  "/api/queues/pause",
  "/api/queues/resume",
  "/api/queues/:queueName/pause",
  "/api/queues/:queueName/resume",
  "/api/queues/:queueName/promote",
  "/api/queues/:queueName/:jobId/promote",
  "/api/queues/:queueName/:jobId/priority",
  "/api/queues/:queueName/concurrency",
  "/api/queues/:queueName/rate-limit",
  "/api/queues/:queueName/rate-limit/release",
]);

interface Action {
  readonly method: string;
  readonly route: string;
  readonly path: string;
}

type OneOrMore = string | readonly string[];
interface BoardRoutes {
  readonly appRoutes: { readonly api: readonly { readonly method: OneOrMore; readonly route: OneOrMore }[] };
}
// The package exports it without types.
const { appRoutes } = createRequire(import.meta.url)("@bull-board/api/dist/routes.js") as BoardRoutes;

/** Every route of the installed version that changes something: a new one is tested from the day it is there. */
const actions: readonly Action[] = appRoutes.api
  .flatMap(({ method, route }) => listOf(method).flatMap((verb) => listOf(route).map((path) => ({ verb, path }))))
  .filter(({ verb }) => verb !== "get")
  .map(({ verb, path }) => ({
    method: verb.toUpperCase(),
    route: path,
    path: `/queues${path}`
      .replace(":queueName", encodeURIComponent(name))
      .replace(":jobId", "r1.0.c1")
      .replace(":queueStatus", "wait")
      .replace(":schedulerId", "s"),
  }));

function listOf(value: OneOrMore): readonly string[] {
  return typeof value === "string" ? [value] : value;
}

async function statusesOf(fixture: BoardFixture, headers: Record<string, string>, anonymous = false) {
  const statuses = new Map<string, number>();
  for (const { method, route, path } of actions) {
    const answer = await fixture.ask(path, { method, anonymous, headers: { ...json, ...headers }, body: "{}" });
    statuses.set(`${method} ${route}`, answer.status);
  }
  return [...new Set(statuses.values())];
}

describe("actions of the queues view", () => {
  test("none is done for who has not signed in, nor for a page of another site", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix, config: { allowDestructive: true } });
    await fixture.queues.addRun(ref, testSpec(), [{ chunk: "1", files }]);
    expect(actions.length).toBeGreaterThan(20);
    expect(await statusesOf(fixture, {}, true)).toEqual([401]);
    expect(await statusesOf(fixture, { authorization: "Bearer wrong" }, true)).toEqual([401]);
    expect(await statusesOf(fixture, { cookie: `headroom=${"x".repeat(43)}` }, true)).toEqual([401]);
    expect(await statusesOf(fixture, { origin: "https://evil.example" })).toEqual([403]);
    expect(await statusesOf(fixture, { "sec-fetch-site": "cross-site" })).toEqual([403]);
    expect(await statusesOf(fixture, { "sec-fetch-site": "same-site" })).toEqual([403]);
    const queue = fixture.queues.queue(name);
    expect([await queue.isPaused(), await queue.getWaitingCount()]).toEqual([false, 1]);
    await deletePrefix(redis, prefix);
  });

  test("whatever is not on the list of harmless ones is refused, whoever asks", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    await fixture.queues.addRun(ref, testSpec(), [{ chunk: "1", files }]);
    for (const { method, route, path } of actions.filter(({ route: of }) => !harmless.has(of))) {
      const answer = await fixture.ask(path, { method, headers: json, body: "{}" });
      expect([method, route, answer.status]).toEqual([method, route, 403]);
    }
    expect(await fixture.queues.queue(name).getWaitingCount()).toBe(1);
    await deletePrefix(redis, prefix);
  });

  test("a harmless one checks what it is sent", async ({ redis, prefix }) => {
    const faulty = [
      ["PUT", "concurrency", { concurrency: -1 }],
      ["PUT", "concurrency", { concurrency: "many" }],
      ["PUT", "concurrency", {}],
      ["PUT", "rate-limit", { max: 0, duration: 1_000 }],
      ["PUT", "rate-limit", { max: 1, duration: -1 }],
      ["PATCH", "r1.0.c1/priority", { priority: 1.5 }],
      ["PATCH", "r1.0.c1/priority", { priority: -1 }],
      ["PATCH", "r1.0.c1/priority", { priority: 3_000_000 }],
    ] as const;
    await using fixture = await startBoard({ redis, prefix });
    await fixture.queues.addRun(ref, testSpec(), [{ chunk: "1", files }]);
    for (const [method, action, body] of faulty) {
      const path = `/queues/api/queues/${encodeURIComponent(name)}/${action}`;
      const answer = await fixture.ask(path, { method, headers: json, body: JSON.stringify(body) });
      expect([method, action, body, answer.status]).toEqual([method, action, body, 400]);
    }
    const job = await fixture.queues.queue(name).getJob("r1.0.c1");
    expect(job).toMatchObject({ priority: 0 });
    await deletePrefix(redis, prefix);
  });
});
