import { describe, expect } from "vitest";
import { jobIds } from "../../../src/contract/queues.ts";
import { printablePath } from "../../../src/contract/path-bytes.ts";
import { fileHref } from "../../../src/board/page/words.ts";
import {
  beat,
  failedFile,
  hostileNames,
  ranFile,
  seedRunning,
  startBoard,
  testSpec,
  testWorker,
} from "../../support/board-fixture.ts";
import { deletePrefix, test } from "../../support/redis.ts";
import { reportOf } from "../../support/run-report.ts";

const hostileMessage = `</td><script>alert("m")</script> & more`;
const hostileLog = "\u001b[31m<b>bold</b>\u0000 ‮ end";

describe("pages of the board", () => {
  test("show every hostile name escaped, and lead to the file by its link", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const files = hostileNames.map((path, index) => failedFile(index, path, hostileMessage, hostileLog));
    const spec = testSpec({ name: hostileNames[0] });
    await seedRunning(fixture, redis, prefix, { id: "r1", spec, files });
    const list = await (await fixture.ask("/")).text();
    const run = await (await fixture.ask("/runs/r1")).text();
    const page = await (await fixture.ask("/runs/r1/files")).text();
    for (const text of [list, run, page]) {
      expect(text).not.toContain("<script>alert");
      expect(text).not.toContain("<img src=x");
      expect(text).not.toMatch(/[\u202e\u0000\u001b]/);
    }
    expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;.txt");
    for (const name of hostileNames) {
      const href = fileHref("r1", name);
      expect(page).toContain(`href="${href.replaceAll("'", "&#39;")}"`);
      const detail = await fixture.ask(href);
      expect([name, detail.status]).toEqual([name, 200]);
      expect(await detail.text()).toContain("&lt;b&gt;bold&lt;/b&gt;");
    }
    await deletePrefix(redis, prefix);
  });

  test("lead to the report of an ended run, for people and for programs", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const report = reportOf("r1", { name: hostileNames[0] });
    await fixture.store.runs.create({ id: "r1", spec: testSpec(), createdAtMs: 1 });
    expect((await fixture.ask("/runs/r1/report.md")).status).toBe(404);
    expect(await (await fixture.ask("/runs/r1")).text()).not.toContain("report.md");
    await fixture.store.runs.move("r1", ["queued"], "succeeded", { endedAtMs: 3_000, report });
    expect(await (await fixture.ask("/runs/r1")).text()).toContain('href="/runs/r1/report.md"');
    const markdown = await fixture.ask("/runs/r1/report.md");
    expect(markdown.headers.get("content-type")).toBe("text/markdown; charset=utf-8");
    expect(markdown.headers.get("content-disposition")).toBe("attachment; filename=r1.md");
    expect(await markdown.text()).toContain("**2 files succeeded** in 2 s.");
    expect(await (await fixture.ask("/runs/r1/report.json")).json()).toEqual(report);
    expect((await fixture.ask("/runs/r1/report.json", { anonymous: true })).status).not.toBe(200);
    await deletePrefix(redis, prefix);
  });

  test("search files and page through them by path", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const files = Array.from({ length: 25 }, (_, index) => ranFile(index, `in/${String(index).padStart(3, "0")}.txt`));
    await seedRunning(fixture, redis, prefix, { id: "r1", files: [...files, failedFile(30, "x.bin", "it broke", "")] });
    const seen: string[] = [];
    let path: string | undefined = "/runs/r1/files?limit=10";
    while (path !== undefined) {
      const text = await (await fixture.ask(path)).text();
      seen.push(...[...text.matchAll(/<bdi class="path">([^<]+)<\/bdi>/g)].map((match) => match[1] ?? ""));
      const next = /href="([^"]+)" rel="next"/.exec(text)?.[1]?.replaceAll("&amp;", "&");
      path = next === undefined ? undefined : `${next}&limit=10`;
    }
    expect(seen).toEqual([...files.map((file) => file.path), "x.bin"]);
    const found = await (await fixture.ask("/runs/r1/files?outcome=failed&search=BROKE")).text();
    expect(found).toContain("x.bin");
    expect(found).not.toContain("000.txt");
    expect((await fixture.ask("/runs/r1/files?outcome=nonsense")).status).toBe(400);
    await deletePrefix(redis, prefix);
  });

  test("count outcomes, tell the rate and group failures by class and message", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const good = Array.from({ length: 12 }, (_, index) => ranFile(index, `good/${index}`));
    const coded = Array.from({ length: 5 }, (_, at) => failedFile(20 + at, `coded/${at}`, "found 3", ""));
    const other = ranFile(30, "late", { outcome: "failed", failureClass: "timeout", message: "took too long" });
    await seedRunning(fixture, redis, prefix, { id: "r1", files: [...good, ...coded, other] });
    const text = (await (await fixture.ask("/runs/r1")).text()).replace(/\s+/g, " ");
    const figure = (name: string) => new RegExp(`<dt>${name}</dt> <dd>(.*?)</dd>`).exec(text)?.[1];
    expect(figure("Files")).toBe("58");
    expect(figure("Succeeded")).toContain(">12<");
    expect(figure("Failed")).toContain(">6<");
    // Eighteen files in the minute that the run goes on for.
    expect(figure("Rate")).toBe("0.3 files/s");
    const rows = [...text.matchAll(/<tr> <th scope="row"><code>(.*?)<\/code><\/th>(.*?)<\/tr>/g)];
    expect(rows.map(([, failureClass]) => failureClass)).toEqual(["exit", "timeout"]);
    expect(rows[0]?.[2]).toMatch(/found 3.*data-label="Files">5<.*href="\/runs\/r1\/files\/coded\/0"/);
    expect(rows[1]?.[2]).toMatch(/took too long.*data-label="Files">1<.*href="\/runs\/r1\/files\/late"/);
    await deletePrefix(redis, prefix);
  });

  test("say what a run does and waits for, and link it to its flow", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    await seedRunning(fixture, redis, prefix, { id: "r1", files: [ranFile(0, "a")] });
    const running = {
      jobId: jobIds.chunk("r1", 0, "1"),
      runId: "r1",
      sinceMs: Date.now(),
      reserved: {},
      rssBytes: 5,
      endsAtMs: null,
      enforced: null,
    };
    await beat(redis, prefix, testWorker({ running: [running] }));
    const text = await (await fixture.ask("/runs/r1")).text();
    expect(text).toContain("runs 1 job of this run");
    expect(text).toContain("worker node-1");
    expect(text).toContain("/queues/queue/report.control%4010/r1.0.report");
    expect(text).toMatch(/<main[^>]* data-live/);
    await deletePrefix(redis, prefix);
  });

  test("list workers with what they have and those that are gone", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    await beat(redis, prefix, testWorker());
    await beat(redis, prefix, testWorker({ workerId: "node-2", atMs: Date.now() - 60_000 }));
    const text = await (await fixture.ask("/workers")).text();
    expect(text).toContain("1 alive");
    expect(text).toContain("13.0 GiB");
    expect(text).toMatch(/node-2[\s\S]*gone/);
    await deletePrefix(redis, prefix);
  });

  test("keep scripts and styles of others out by policy", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const own = (await fixture.ask("/")).headers.get("content-security-policy") ?? "";
    expect(own).toContain("script-src 'self'");
    expect(own).not.toContain("unsafe-inline");
    const queues = (await fixture.ask("/queues/")).headers.get("content-security-policy") ?? "";
    expect(queues).toContain("style-src 'self' 'unsafe-inline'");
    expect(queues).not.toMatch(/google|https?:/);
    await deletePrefix(redis, prefix);
  });

  test("answer for what is not there with a page or a problem", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const page = await fixture.ask("/runs/none", { headers: { accept: "text/html" } });
    expect([page.status, page.headers.get("content-type")]).toEqual([404, "text/html; charset=utf-8"]);
    const api = await fixture.ask("/api/runs/none");
    expect(api.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
    expect(await api.json()).toEqual({
      type: "about:blank",
      title: "Not Found",
      status: 404,
      detail: 'expected a known run, found no run "none"',
      code: "ERR_NOT_FOUND",
    });
    const file = await fixture.ask(`/runs/none/files/${printablePath("x")}`);
    expect(file.status).toBe(404);
    await deletePrefix(redis, prefix);
  });
});
