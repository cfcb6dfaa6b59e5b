import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import type { Redis } from "ioredis";
import { keyPrefix } from "../../src/contract/queues.ts";
import { unrunEnd } from "../../src/contract/flow-run.ts";
import { FlowState } from "../../src/platform/flow/flow-state.ts";
import { closeRedis, openRedis } from "../../src/platform/redis.ts";
import { RunHash } from "../../src/platform/run-hash.ts";
import {
  beat,
  failedFile,
  hostileNames,
  ranFile,
  seedRunning,
  startBoard,
  testSpec,
  testWorker,
  TOKEN,
  type BoardFixture,
} from "../support/board-fixture.ts";
import { seedFlow } from "../support/board-flow.ts";
import { findChromium, launchChromium, seriousViolations } from "../support/browser.ts";
import { quietLogger } from "../support/quiet-logger.ts";
import { startRedis, type RedisServer } from "../support/redis-server.ts";

const chromium = findChromium();
const prefix = "pages";
/** Set it to a folder to look at the pages. */
const shotsFolder = process.env["HEADROOM_SCREENSHOTS"];
const paths = [
  "/login",
  "/",
  "/runs/r1",
  "/runs/r1/files",
  "/runs/r1/files/sub%20dir/new%5Cx0aline.bin",
  "/workers",
  "/runs/none",
];

describe.skipIf(chromium === undefined)("pages of the board in a browser", () => {
  let server: RedisServer;
  let redis: Redis;
  let fixture: BoardFixture;
  let browser: Browser;
  let flowId: string;

  beforeAll(async () => {
    server = await startRedis();
    redis = openRedis(server.url, "command", quietLogger);
    fixture = await startBoard({ redis, prefix });
    const good = Array.from({ length: 140 }, (_, index) => ranFile(index, `photos/2026/${index}.jpg`));
    const bad = hostileNames.map((path, index) =>
      failedFile(
        200 + index,
        path,
        index % 2 === 0 ? "exit code 3: no such codec" : "exit code 3: <b>truncated</b> input",
        "line one\nline two",
      ),
    );
    const spec = testSpec({ name: "Nightly thumbnails" });
    await seedRunning(fixture, redis, prefix, { id: "r1", spec, files: [...good, ...bad] });
    await seedEnded();
    flowId = await seedFlow(fixture, redis, prefix);
    const chunk = {
      jobId: "r1.0.c7",
      runId: "r1",
      sinceMs: Date.now() - 9_000,
      reserved: { memoryBytes: 2 ** 28 },
      rssBytes: 2 ** 27,
      endsAtMs: null,
      enforced: null,
    };
    const wait = {
      queue: "exec.default@14",
      code: "memory",
      message: "needs 1.5 GiB of memory, 0.9 GiB is free",
      sinceMs: Date.now() - 5_000,
      etaMs: 12_000,
      need: "1.5 GiB",
      have: "0.9 GiB",
    };
    await beat(redis, prefix, testWorker({ running: [chunk], waiting: [wait] }));
    await beat(redis, prefix, testWorker({ workerId: "node-2", host: "node-2", atMs: Date.now() - 60_000 }));
    await fixture.queues.addRun({ runId: "r1", epoch: 0, traceId: "t" }, spec, "scan");
    browser = await launchChromium(chromium ?? "");
  });

  afterAll(async () => {
    await browser.close();
    await fixture[Symbol.asyncDispose]();
    await closeRedis(redis);
    await server.stop();
  });

  async function seedEnded(): Promise<void> {
    const createdAtMs = Date.now() - 7_200_000;
    for (const [id, state] of [
      ["r0", "succeeded"],
      ["r2", "failed"],
      ["r3", "cancelled"],
      ["r4", "broken"],
    ] as const) {
      await fixture.store.runs.create({ id, spec: testSpec(), createdAtMs });
      const counts = { total: 1_200, succeeded: 1_190, failed: 10, skipped: 0, cancelled: 0, quarantined: 0 };
      const message = state === "broken" ? { message: "the output folder vanished" } : {};
      await fixture.store.runs.move(id, ["queued"], state, {
        startedAtMs: createdAtMs,
        endedAtMs: createdAtMs + 90_000,
        counts,
        ...message,
      });
    }
  }

  const sizes = [
    { width: 360, height: 740 },
    { width: 1_280, height: 900 },
  ];
  for (const colorScheme of ["light", "dark"] as const) {
    for (const viewport of sizes) {
      test(`fit ${viewport.width} px in ${colorScheme} without barriers or blocked content`, async () => {
        await using context = await browser.newContext({
          viewport,
          colorScheme,
          extraHTTPHeaders: { authorization: `Bearer ${TOKEN}` },
        });
        for (const path of [...paths, `/runs/${flowId}`]) {
          const page = await context.newPage();
          const problems: string[] = [];
          page.on("console", (line) => {
            if (line.type() === "error" && !line.text().includes("404")) problems.push(line.text());
          });
          page.on("pageerror", (error) => problems.push(error.message));
          await page.goto(fixture.url + path);
          if (shotsFolder !== undefined) {
            mkdirSync(shotsFolder, { recursive: true });
            const name = `${path.replace(flowId, "flow").replaceAll(/[^a-z0-9]+/gi, "_")}-${viewport.width}-${colorScheme}.png`;
            await page.screenshot({ path: join(shotsFolder, name), fullPage: true });
          }
          const overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
          expect([path, overflow]).toEqual([path, 0]);
          expect([path, problems]).toEqual([path, []]);
          expect([path, await seriousViolations(page)]).toEqual([path, []]);
          await page.close();
        }
      });
    }
  }

  test("a running page follows the run, and stops when told to", async () => {
    await using context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${fixture.url}/login?next=/runs/r1`);
    await page.getByLabel("Admin token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Nightly thumbnails" }).waitFor();
    const hash = new RunHash(redis, keyPrefix(prefix));
    await hash.count({ runId: "r1", epoch: 0 }, { skipped: 3 });
    await page.getByText("Skipped").waitFor({ timeout: 10_000 });
    await page.getByRole("button", { name: "Pause updates" }).click();
    await page.getByRole("button", { name: "Resume updates" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  });

  test("a flow's page shows its graph and follows it, and a person answers its gate there", async () => {
    await using context = await browser.newContext({ viewport: { width: 360, height: 740 } });
    const page = await context.newPage();
    await page.goto(`${fixture.url}/login?next=/runs/${flowId}`);
    await page.getByLabel("Admin token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    const graph = page.getByRole("group", { name: "Graph of the flow" });
    await graph.getByText("✓ succeeded").waitFor();
    await graph.getByText("? needs an answer").waitFor();
    const state = new FlowState(redis, keyPrefix(prefix), { runId: flowId, epoch: 0 });
    await state.settle([{ path: "tell", end: unrunEnd("skipped", "not today") }]);
    await graph.getByText("↷ skipped").waitFor({ timeout: 10_000 });
    await page.getByLabel("Your name").fill("Ada");
    await page.getByLabel("Why").fill("looks good");
    await page.getByRole("button", { name: "Refuse" }).click();
    await page.getByRole("heading", { name: "Nightly digests" }).waitFor();
    expect(await state.answerAt("publish-to-all")).toMatchObject({ isApproved: false, by: "Ada", note: "looks good" });
    await page.goBack();
    expect(await page.locator("[data-part=nodes] tbody tr").count()).toBe(8);
  });

  test("the queues view draws a run's flow and leads back to the run", async () => {
    await using context = await browser.newContext({ extraHTTPHeaders: { authorization: `Bearer ${TOKEN}` } });
    const page = await context.newPage();
    const elsewhere: string[] = [];
    page.on("response", (answer) => {
      if (!answer.url().startsWith(fixture.url)) elsewhere.push(answer.url());
    });
    await page.goto(`${fixture.url}/runs/r1`);
    await page.getByRole("link", { name: "Its flow in the queues view" }).click();
    await page.getByText("r1.0.report").first().waitFor();
    if (shotsFolder !== undefined) await page.screenshot({ path: join(shotsFolder, "queues.png") });
    await page.locator('a[href="/runs/r1"]').first().waitFor();
    expect(elsewhere).toEqual([]);
  });
});
