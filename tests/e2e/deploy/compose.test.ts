import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import { startComposeCluster, type ComposeCluster } from "../../support/compose-cluster.ts";

let cluster: ComposeCluster;
beforeAll(async () => {
  cluster = await startComposeCluster();
  return () => cluster[Symbol.asyncDispose]();
});

describe("the processes of the compose file", () => {
  test("serve a run over HTTP, for who has the token, and publish its outputs", async () => {
    const port = cluster.variable("producer", "HEADROOM_PRODUCER_PORT");
    const call = (path: string, init: RequestInit = {}, token = cluster.secret("producer_token")) =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      });
    const body = { command: ["/usr/bin/sha256sum", "{input}"], input: "/app/examples/files", output: "/data/http" };
    const init = { method: "POST", body: JSON.stringify(body) };
    expect((await call("/v1/runs", init, "another-token")).status).toBe(401);
    const made = await call("/v1/runs", init);
    expect(made.status, await made.clone().text()).toBe(201);
    const { id } = (await made.json()) as { id: string };
    const stateOf = async () => ((await (await call(`/v1/runs/${id}`)).json()) as { state: string }).state;
    await expect.poll(stateOf, { timeout: 60_000 }).toBe("succeeded");
    const outputs = readdirSync(join(cluster.data, "http"), { recursive: true, encoding: "utf8" });
    expect(outputs.filter((name) => name.endsWith(".output"))).toHaveLength(12);
  });

  test("refuse a binary that the configuration does not allow", async () => {
    const { code, output } = await cluster.call("example", [
      "run",
      "--input",
      "/app/examples/files",
      "--output",
      "/data/no",
      "--",
      "cat",
      "{input}",
    ]);
    expect(code).not.toBe(0);
    expect(output).toContain("allow.binaries");
  });

  test("run the example with two workers", async () => {
    const { code, output } = await cluster.call("example");
    expect(code, output).toBe(0);
    expect(readFileSync(join(cluster.data, "example/letters/reply.txt.output"), "utf8")).toMatch(
      /^[0-9a-f]{64} {2}\/app/,
    );
    const status = await cluster.call("example", ["status", "--json"]);
    const { workers } = JSON.parse(/^\{.*\}$/m.exec(status.output)?.[0] ?? "{}") as { workers: unknown[] };
    expect(workers).toHaveLength(2);
  });

  test("have a board that asks for its token", async () => {
    const url = `http://127.0.0.1:${cluster.variable("board", "HEADROOM_BOARD_PORT")}`;
    const page = await fetch(`${url}/`, { redirect: "manual" });
    expect([302, 303, 401]).toContain(page.status);
    expect(cluster.output("board")).not.toContain(cluster.secret("board_token"));
  });

  test("reach the store with the password of its secret, and nobody without it", async () => {
    const url = new URL(cluster.secret("store_url"));
    expect(url.password).toBe(cluster.secret("postgres_password"));
    const client = (password: string) => {
      url.password = password;
      return new pg.Client({ connectionString: url.href });
    };
    await expect(client("another").connect()).rejects.toThrow("password authentication failed");
    const known = client(cluster.secret("postgres_password"));
    await known.connect();
    const { rows } = await known.query<{ runs: number }>("select count(*)::int as runs from runs");
    await known.end();
    expect(rows[0]?.runs).toBeGreaterThan(0);
  });

  test("tell their metrics", async () => {
    for (const name of ["scheduler", "worker-1", "worker-2", "producer", "board"]) {
      const answer = await fetch(`http://127.0.0.1:${cluster.variable(name, "HEADROOM_OPS_PORT")}/metrics`);
      expect(await answer.text()).toContain("headroom_build_info");
    }
  });

  test("never print a secret", () => {
    const text = ["scheduler", "worker-1", "worker-2", "producer", "board"].map((name) => cluster.output(name)).join();
    for (const name of ["redis_password", "postgres_password", "producer_token", "board_token"])
      expect(text).not.toContain(cluster.secret(name));
  });
});
