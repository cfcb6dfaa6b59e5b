import { describe, expect, onTestFinished, test } from "vitest";
import { InfrastructureError, NotFoundError } from "../../../src/contract/errors.ts";
import { ServiceGroup } from "../../../src/platform/lifecycle.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import { OpsServer, type Checks, type OpsRoute } from "../../../src/platform/ops-server.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

function serverWith(checks: { readiness?: Checks; liveness?: Checks; routes?: readonly OpsRoute[] } = {}): OpsServer {
  const metrics = new Metrics({ version: "1", process: "worker" }, quietLogger);
  const server = new OpsServer(
    { metrics, logger: quietLogger, ...checks },
    { host: "127.0.0.1", port: 0, checkTimeoutMs: 50 },
  );
  onTestFinished(() => server.stop());
  return server;
}

async function get(server: OpsServer, path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${server.url}${path}`);
  return { status: response.status, body: await response.json() };
}

describe("ops server", () => {
  test("is alive from its start, ready after the group's, and draining from its stop", async () => {
    const server = serverWith();
    const seen: unknown[] = [];
    const look = async () => {
      seen.push([(await get(server, "/livez")).status, (await get(server, "/readyz")).status]);
    };
    const group = new ServiceGroup([server, { start: look, stop: look }, server.readiness()]);
    await group.start();
    await look();
    await group.stop();
    expect(seen).toEqual([
      [200, 503],
      [200, 200],
      [200, 503],
    ]);
    await expect(fetch("http://127.0.0.1:1/livez")).rejects.toThrow();
    expect(() => server.url).toThrow(/expected the operations server to listen/);
  });

  test("names each check and why it failed, with a limit on its time", async () => {
    const server = serverWith({
      readiness: {
        redis: () => Promise.resolve(),
        store: () => Promise.reject(new Error("disk is full")),
        governor: () => new Promise(() => undefined),
        broken: () => {
          throw new Error("thrown, not rejected");
        },
      },
    });
    await server.start();
    await server.readiness().start();
    expect(await get(server, "/readyz")).toEqual({
      status: 503,
      body: {
        ok: false,
        phase: "ready",
        checks: {
          redis: { ok: true },
          store: { ok: false, reason: "disk is full" },
          governor: { ok: false, reason: "expected an answer within 50 ms, found none" },
          broken: { ok: false, reason: "thrown, not rejected" },
        },
      },
    });
    expect((await get(server, "/livez")).status).toBe(200);
  });

  test("is not alive when a liveness check fails", async () => {
    const server = serverWith({ liveness: { lanes: () => Promise.reject(new Error("no claim for 60 s")) } });
    await server.start();
    expect(await get(server, "/livez")).toMatchObject({ status: 503, body: { checks: { lanes: { ok: false } } } });
  });

  test("exposes the metrics, and nothing else", async () => {
    const server = serverWith();
    await server.start();
    const response = await fetch(`${server.url}/metrics?x=1`);
    expect(response.headers.get("content-type")).toContain("text/plain; version=0.0.4");
    expect(await response.text()).toContain("headroom_build_info");
    expect((await get(server, "/nonsense")).status).toBe(404);
    expect((await fetch(`${server.url}/livez`, { method: "POST" })).status).toBe(405);
    expect((await fetch(`${server.url}/livez`, { method: "HEAD" })).status).toBe(200);
  });

  test("says that its port is taken", async () => {
    const first = serverWith();
    await first.start();
    const port = Number(new URL(first.url).port);
    const metrics = new Metrics({ version: "1", process: "worker" }, quietLogger);
    const second = new OpsServer({ metrics, logger: quietLogger }, { host: "127.0.0.1", port });
    await expect(second.start()).rejects.toThrow(`expected 127.0.0.1:${port} to be free to listen on`);
    await second.stop();
    await second.stop();
  });

  test("answers what its parts add, each by its method, and errors by their kind", async () => {
    const routes: OpsRoute[] = [
      {
        method: "GET",
        path: "/v1/number",
        answer: (query) => Promise.resolve({ status: 200, body: { n: query.get("n") } }),
      },
      { method: "GET", path: "/thing", answer: () => Promise.reject(new NotFoundError("profile", "x")) },
      { method: "POST", path: "/thing", answer: () => Promise.resolve({ status: 202, body: { is: "begun" } }) },
      { method: "DELETE", path: "/thing", answer: () => Promise.reject(new InfrastructureError("nobody leads")) },
    ];
    const server = serverWith({ routes });
    await server.start();
    expect(await get(server, "/v1/number?n=7")).toEqual({ status: 200, body: { n: "7" } });
    expect(await get(server, "/thing")).toMatchObject({ status: 404, body: { code: "ERR_NOT_FOUND" } });
    const ask = async (path: string, init: RequestInit) => (await fetch(server.url + path, init)).status;
    expect(await ask("/thing", { method: "POST" })).toBe(202);
    expect(await ask("/thing", { method: "DELETE" })).toBe(503);
    expect(await ask("/v1/number", { method: "POST" })).toBe(405);
    expect(await ask("/thing", { method: "PUT" })).toBe(405);
    expect(await get(server, "/other")).toMatchObject({
      status: 404,
      body: { error: "expected /livez, /readyz, /metrics, /v1/number or /thing" },
    });
  });

  test("does nothing for a page of a browser", async () => {
    let asked = 0;
    const answer = () => Promise.resolve({ status: 200, body: { asked: (asked += 1) } });
    const server = serverWith({ routes: [{ method: "POST", path: "/drain", answer }] });
    await server.start();
    const headers = { origin: "https://elsewhere.example" };
    expect((await fetch(`${server.url}/drain`, { method: "POST", headers })).status).toBe(403);
    expect(asked).toBe(0);
    expect((await fetch(`${server.url}/drain`, { method: "POST", headers: { "sec-fetch-site": "none" } })).status).toBe(
      403,
    );
    expect(asked).toBe(0);
  });
});
