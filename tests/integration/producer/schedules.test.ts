/** Schedules over HTTP. */
import { describe, expect } from "vitest";
import { parseAllow, type AllowInput } from "../../../src/contract/allow.ts";
import { scheduleList, scheduleStatus } from "../../../src/producer/responses.ts";
import { startIntake, type IntakeFixture } from "../../support/intake-fixture.ts";
import { test } from "../../support/redis.ts";

function send(at: IntakeFixture, method: string, path: string, body: unknown): Promise<Response> {
  return at.ask(`/v1/schedules${path}`, {
    method,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

const daily = (at: IntakeFixture) => ({
  ...{ name: "daily", cron: "30 2 * * *", time_zone: "Europe/Berlin" },
  run: { command: ["/bin/cat", "{input}"], input: at.folder, output: `${at.folder}-out/{date}` },
});

describe("schedules over HTTP", () => {
  test("are declared, listed, changed, paused and removed", async ({ redis, prefix }) => {
    await using at = await startIntake({ redis, prefix });
    const created = await send(at, "POST", "", daily(at));
    expect([created.status, created.headers.get("location")]).toEqual([201, "/v1/schedules/daily"]);
    const first = scheduleStatus.parse(await created.json());
    expect(first).toMatchObject({ source: "api", isPaused: false, spec: { overlap: "skip", missed: "once" } });
    expect(first.nextMs).toHaveLength(5);
    const listed = scheduleList.parse(await (await at.ask("/v1/schedules")).json());
    expect(listed.schedules.map(({ name }) => name)).toEqual(["daily"]);
    const changed = await send(at, "PATCH", "/daily", { cron: null, every: "1h", paused: true });
    expect(changed.status).toBe(200);
    const second = scheduleStatus.parse(await changed.json());
    expect(second).toMatchObject({ isPaused: true, nextMs: [], spec: { every: "1h", time_zone: "Europe/Berlin" } });
    expect(second.spec.cron).toBeUndefined();
    const resumed = await (await send(at, "PATCH", "/daily", { paused: false })).json();
    expect(scheduleStatus.parse(resumed).nextMs[0]).toBeGreaterThan(Date.now());
    expect((await at.ask("/v1/schedules/daily", { method: "DELETE" })).status).toBe(204);
    expect((await at.ask("/v1/schedules/daily")).status).toBe(404);
  });

  test("are filled in", async ({ redis, prefix }) => {
    await using at = await startIntake({ redis, prefix });
    await send(at, "POST", "", daily(at));
    const range = { from: "2026-01-01T00:00:00+01:00", to: "2026-01-07T00:00:00Z" };
    const answer = await send(at, "POST", "/daily/backfill", range);
    expect([answer.status, await answer.json()]).toEqual([202, { times: 6, added: 6 }]);
    const bad = await send(at, "POST", "/daily/backfill", { from: "yesterday", to: "2026-01-07" });
    expect(bad.status).toBe(400);
    expect(JSON.stringify(await bad.json())).toContain("a time with its zone");
  });

  test("are refused with every fault and its place", async ({ redis, prefix }) => {
    await using at = await startIntake({ redis, prefix });
    const faulty = { ...daily(at), cron: "30 2 * *", overlaps: "skip", run: { ...daily(at).run, input: "relative" } };
    const answer = await send(at, "POST", "", faulty);
    expect(answer.status).toBe(400);
    const { errors } = (await answer.json()) as { errors: { pointer: string; detail: string }[] };
    expect(errors.map(({ pointer }) => pointer).toSorted()).toEqual(["/cron", "/overlaps", "/run/input"]);
    await send(at, "POST", "", daily(at));
    expect((await send(at, "POST", "", daily(at))).status).toBe(409);
    expect((await send(at, "PATCH", "/daily", { every: "1h" })).status).toBe(400);
    expect((await send(at, "PATCH", "/other", { paused: true })).status).toBe(404);
  });

  test("may run what runs may, and no more", async ({ redis, prefix }) => {
    const config = { allow: { binaries: [{ path: "/usr/bin/sha256sum" }] } };
    await using at = await startIntake({ redis, prefix, config });
    const answer = await send(at, "POST", "", daily(at));
    expect(answer.status).toBe(403);
    const problem = (await answer.json()) as { code: string; errors: { pointer: string }[] };
    expect([problem.code, problem.errors[0]?.pointer]).toEqual(["ERR_POLICY", "/run/command/0"]);
    expect(await at.client.schedules.list()).toEqual([]);
  });

  test("start flows only from where files may be read, and none where binaries are listed", async ({
    redis,
    prefix,
  }) => {
    const flow = { file: "/srv/flows/nightly.yaml", folder: "/srv/runs/{date}" };
    const declare = async (allow: AllowInput) => {
      await using at = await startIntake({ redis, prefix, config: { allow: parseAllow(allow) } });
      const answer = await send(at, "POST", "", { name: "nightly", every: "1h", flow });
      if (answer.status === 201) await at.ask("/v1/schedules/nightly", { method: "DELETE" });
      const { errors = [] } = (await answer.json()) as { errors?: { pointer: string }[] };
      return [answer.status, ...errors.map(({ pointer }) => pointer)];
    };
    expect(await declare({})).toEqual([201]);
    expect(await declare({ read: ["/srv/flows"], write: ["/srv/runs"], binaries: "any" })).toEqual([201]);
    expect(await declare({ read: ["/etc"], write: ["/tmp"] })).toEqual([403, "/flow/file", "/flow/folder"]);
    expect(await declare({ binaries: ["/bin/cp"] })).toEqual([403, "/flow"]);
  });

  test("ask for the token that runs ask for", async ({ redis, prefix }) => {
    await using at = await startIntake({ redis, prefix, config: { token: "0123456789abcdef" } });
    expect((await send(at, "POST", "", daily(at))).status).toBe(401);
    expect((await at.ask("/v1/schedules")).status).toBe(401);
  });
});
