import { readFileSync, statSync } from "node:fs";
import { request } from "node:http";
import { describe, expect } from "vitest";
import { keyPrefix } from "../../../src/contract/queues.ts";
import { placeOf } from "../../../src/platform/job-queues.ts";
import { defaultProfile, memoryOf } from "../../../src/contract/profiles.ts";
import { ranFile, seedRunning, startBoard, TOKEN, type BoardFixture } from "../../support/board-fixture.ts";
import { deletePrefix, test } from "../../support/redis.ts";
import { keepingLogger } from "../../support/quiet-logger.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

const open = ["/livez", "/readyz", "/login", "/assets/board.css", "/assets/live.js", "/assets/icon.svg"];
const pages = ["/", "/runs/r1", "/runs/r1/files", "/runs/r1/files/a.txt", "/workers", "/queues/", "/queues/queue/x"];
const programs = [
  "/api/runs",
  "/api/runs/r1",
  "/api/runs/r1/files",
  "/api/runs/r1/failures",
  "/api/workers",
  "/api/explain/r1",
  "/metrics",
  "/queues/api/queues",
  "/queues/api/redis/stats",
];

const place = placeOf("exec", "default", defaultProfile, memoryOf(defaultProfile));

async function signIn(fixture: BoardFixture, token: string, next = "/workers"): Promise<Response> {
  const body = new URLSearchParams({ token, next });
  return fixture.ask("/login", { method: "POST", body, anonymous: true });
}

function cookieOf(answer: Response): string {
  return (answer.headers.getSetCookie()[0] ?? "").split(";")[0] ?? "";
}

function statusForHost(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { host }, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asked.on("error", reject).end();
  });
}

describe("who may see what on the board", () => {
  test("each route asks for what its table says, and unknown ones say nothing", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    await seedRunning(fixture, redis, prefix, { id: "r1", files: [ranFile(0, "a.txt")] });
    await fixture.queues.announce(place);
    const cookie = cookieOf(await signIn(fixture, TOKEN));
    const callers = {
      nobody: {},
      wrongBearer: { authorization: "Bearer wrong" },
      wrongCookie: { cookie: `headroom=${"x".repeat(43)}` },
      bearer: { authorization: `Bearer ${TOKEN}` },
      session: { cookie },
    } as const;
    for (const [caller, headers] of Object.entries(callers)) {
      const isKnown = caller === "bearer" || caller === "session";
      const get = async (path: string, accept: string) =>
        (await fixture.ask(path, { anonymous: true, headers: { accept, ...headers } })).status;
      for (const path of open) expect([caller, path, await get(path, "*/*")]).toEqual([caller, path, 200]);
      for (const path of pages) {
        expect([caller, path, await get(path, "text/html")]).toEqual([caller, path, isKnown ? 200 : 303]);
      }
      for (const path of programs) {
        expect([caller, path, await get(path, "*/*")]).toEqual([caller, path, isKnown ? 200 : 401]);
      }
      for (const path of ["/nothing", "/api/nothing", "/api"]) {
        expect([caller, path, await get(path, "*/*")]).toEqual([caller, path, isKnown ? 404 : 401]);
      }
      const write = await fixture.ask("/api/runs", { method: "DELETE", anonymous: true, headers });
      expect([caller, write.status]).toEqual([caller, isKnown ? 405 : 401]);
    }
    await deletePrefix(redis, prefix);
  });

  test("a session opens with the token, leads back, and ends with sign-out", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const answer = await signIn(fixture, TOKEN, "/workers?x=1");
    expect([answer.status, answer.headers.get("location")]).toEqual([303, "/workers?x=1"]);
    expect(answer.headers.getSetCookie()[0]).toMatch(
      /^headroom=[\w-]{43}; Max-Age=43200; Path=\/; .*HttpOnly; SameSite=Lax/,
    );
    for (const next of ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]) {
      expect((await signIn(fixture, TOKEN, next)).headers.get("location")).toBe("/");
    }
    const cookie = cookieOf(answer);
    const keys = await redis.keys(`${keyPrefix(prefix)}:board:session:*`);
    expect(keys.some((key) => key.includes(cookie.slice("headroom=".length)))).toBe(false);
    expect(await redis.ttl(keys[0] ?? "")).toBeGreaterThan(43_000);
    const ended = await fixture.ask("/logout", { method: "POST", anonymous: true, headers: { cookie } });
    expect(ended.status).toBe(303);
    expect((await fixture.ask("/api/runs", { anonymous: true, headers: { cookie } })).status).toBe(401);
    await deletePrefix(redis, prefix);
  });

  test("an https origin makes the cookie Secure and bound to the host", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix, config: { publicOrigin: "https://board.example" } });
    const cookie = (await signIn(fixture, TOKEN)).headers.getSetCookie()[0];
    expect(cookie).toMatch(/^__Host-headroom=.*; Secure; SameSite=Lax/);
    await deletePrefix(redis, prefix);
  });

  test("sign-ins that fail are refused after five in a minute, the right token among them", async ({
    redis,
    prefix,
  }) => {
    const { logger, lines } = keepingLogger();
    await using fixture = await startBoard({ redis, prefix, logger });
    for (let tries = 0; tries < 5; tries += 1) expect((await signIn(fixture, "not-the-token-at-all")).status).toBe(401);
    const refused = await signIn(fixture, TOKEN);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "60"]);
    const log = JSON.stringify(lines());
    expect(log).toContain("sign-in failed");
    expect(log).not.toContain("not-the-token-at-all");
    expect(log).not.toContain(TOKEN);
    await deletePrefix(redis, prefix);
  });

  test("pages of other sites cannot act", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix });
    const post = async (headers: Record<string, string>) =>
      (await fixture.ask("/logout", { method: "POST", headers })).status;
    expect(await post({ "sec-fetch-site": "cross-site" })).toBe(403);
    expect(await post({ "sec-fetch-site": "same-site" })).toBe(403);
    expect(await post({ origin: "https://evil.example" })).toBe(403);
    expect(await post({ origin: "null" })).toBe(403);
    expect(await post({ "sec-fetch-site": "same-origin" })).toBe(303);
    expect(await post({ origin: fixture.url })).toBe(303);
    await deletePrefix(redis, prefix);
  });

  test("on loopback there is no login, unless the configuration asks for one", async ({ redis, prefix }) => {
    await using fixture = await startBoard({ redis, prefix, config: { login: "auto" } });
    expect((await fixture.ask("/", { anonymous: true })).status).toBe(200);
    expect((await fixture.ask("/login", { anonymous: true })).status).toBe(404);
    expect(await statusForHost(fixture.url, "rebound.evil.example")).toBe(421);
    expect(await statusForHost(fixture.url, "localhost:7400")).toBe(200);
    await deletePrefix(redis, prefix);
  });

  test("beyond loopback a token is made, told once, and kept for its owner alone", async ({ redis, prefix }) => {
    using home = makeTempFolder();
    const config = { login: "auto", host: "0.0.0.0", home: home.path } as const;
    const path = `${home.path}/board-token`;
    {
      await using first = await startBoard({ redis, prefix, config, withoutToken: true });
      const kept = readFileSync(path, "utf8").trim();
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(first.told).toEqual([expect.stringContaining(kept)]);
      expect((await signIn(first, kept)).status).toBe(303);
      expect((await signIn(first, TOKEN)).status).toBe(401);
    }
    await using second = await startBoard({ redis, prefix, config, withoutToken: true });
    expect(second.told).toEqual([]);
    await deletePrefix(redis, prefix);
  });
});
