/** Metrics, alerts and dashboards over one live cluster, a real Prometheus and a real Alertmanager. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { metricZeros } from "../../../src/contract/metric-zeros.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { fillIn, parseDashboard } from "../../support/dashboards.ts";
import { Monitoring } from "../../support/monitoring.ts";
import { ObservedCluster } from "../../support/observed-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { textModel, wordTokenizer } from "../../support/text-onnx.ts";

const PATIENT = { timeout: 60_000, interval: 100 };

let cluster: ObservedCluster;
let monitoring: Monitoring;
/** What is to be closed, last first, however far the start came. */
const opened: AsyncDisposable[] = [];

beforeAll(async () => {
  opened.push((cluster = await ObservedCluster.start()));
  opened.push((monitoring = await Monitoring.start(cluster.targets)));
});

afterAll(async () => {
  for (const one of opened.toReversed()) await one[Symbol.asyncDispose]();
});

const root = join(import.meta.dirname, "../../..");

describe("metrics", () => {
  test("are there with 0 before anything has happened", async () => {
    const texts = await Promise.all(cluster.targets.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
    const series = texts.join("\n").split("\n");
    for (const [name, { by, series: begun }] of Object.entries(metricZeros)) {
      const told = series.filter((line) => line.startsWith(`${name}{`));
      expect(told.length, name).toBe(by.length * begun.length);
      for (const line of told) expect(line).toMatch(/ 0$/);
    }
    expect(series).toContain('headroom_http_requests_total{method="POST",route="/v1/runs",status="401"} 0');
    const failures = 'sum(headroom_results_total{outcome="failed"})';
    expect(await monitoring.query(failures)).toEqual([{ labels: {}, value: 0 }]);
  });

  test("count what a cluster does: files that succeed and fail, a model, a flow with an agent", async () => {
    const { scratch } = cluster.cli;
    for (let at = 0; at < 6; at += 1) scratch.file(`work/${at}.json`, '{"list": [1, 2, 3], "name": "x"}\n'.repeat(9));
    const script = 'case "$1" in *3.json) exit 7;; esac; cat "$1"';
    const failing = ["run", "-i", "work", "-o", "out", "--", "sh", "-c", script, "sh", "{input}"];
    expect(await cluster.call(failing)).toMatchObject({ code: 1 });
    const model = join(root, "models/file-kind");
    expect(await cluster.call(["infer", "-m", model, "-i", "work", "-o", "kinds"])).toMatchObject({ code: 0 });
    for (let at = 0; at < 6; at += 1) scratch.file(`texts/${at}.txt`, "one two two");
    const texts = textModel(scratch, wordTokenizer({ "[UNK]": 0, one: 1, two: 2 }));
    expect(await cluster.call(["infer", "-m", texts, "-i", "texts", "-o", "vectors"])).toMatchObject({ code: 0 });
    const flow = scratch.file("flow.yaml", FLOW);
    expect(await cluster.call(["run", "--flow", flow, "-o", "flow"])).toMatchObject({ code: 0 });
    const seen = async (expr: string) => (await monitoring.query(expr))[0]?.value;
    await expect
      .poll(() => seen('sum(headroom_results_total{outcome="failed",failure_class="exit"})'), PATIENT)
      .toBe(1);
    await expect.poll(() => seen('sum(headroom_retries_total{failure_class="exit"})'), PATIENT).toBe(1);
    await expect
      .poll(() => seen('sum(increase(headroom_results_total{outcome="failed"}[5m]))'), PATIENT)
      .toBeGreaterThan(0);
    await expect.poll(() => seen('sum(headroom_flow_calls_total{kind="exec",outcome="succeeded"})'), PATIENT).toBe(1);
    await expect.poll(() => seen('sum(headroom_files_processed_total{model!=""})'), PATIENT).toBe(12);
    await expect.poll(() => seen('sum(headroom_inference_tokens_total{kind="in"})'), PATIENT).toBeGreaterThan(0);
    await expect.poll(() => seen('sum(headroom_job_wait_seconds_count{job_name="infer"})'), PATIENT).toBeGreaterThan(0);
    await expect.poll(() => seen('max(headroom_workers{state="working"})'), PATIENT).toBe(1);
    await expect.poll(() => seen("sum(headroom_redis_up)"), PATIENT).toBe(4);
    await expect.poll(() => seen("sum(headroom_store_up)"), PATIENT).toBe(4);
  });
});

/** Waits until the webhook was told last that this alert fires, or is over. */
async function told(alert: string, status: "firing" | "resolved", labels: Readonly<Record<string, string>> = {}) {
  await expect.poll(() => monitoring.last(alert, labels)?.status, PATIENT).toBe(status);
}

describe("alerts", () => {
  test("tell of a queue that stands still, and that it moves again", async () => {
    cluster.cli.scratch.file("in/a.txt", "a");
    expect(await cluster.call(["limits", "set", "paused=true"])).toMatchObject({ code: 0 });
    const run = ["run", "-i", "in", "-o", "stuck", "--detach", "--", "cat", "{input}"];
    expect(await cluster.call(run)).toMatchObject({ code: 0 });
    await told("HeadroomStuck", "firing");
    expect(monitoring.last("HeadroomStuck")).toMatchObject({
      labels: { severity: "critical" },
      annotations: { summary: "Jobs wait and none runs", runbook_url: "/docs/runbooks/stuck-queue.md" },
    });
    expect(await cluster.call(["limits", "reset"])).toMatchObject({ code: 0 });
    await told("HeadroomStuck", "resolved");
  });

  test("tell of a Redis that is nearly full, and that it has room again", async () => {
    const redis = openRedis(cluster.redis.url, "command", quietLogger);
    try {
      const used = Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);
      await redis.config("SET", "maxmemory", String(Math.round(used * 1.1)));
      await told("HeadroomRedisMemoryFull", "firing");
      expect(monitoring.last("HeadroomRedisMemoryFull")?.annotations["summary"]).toMatch(
        /^Redis uses \d\d(\.\d+)?% of/,
      );
      await redis.config("SET", "maxmemory", "1gb");
      await told("HeadroomRedisMemoryFull", "resolved");
    } finally {
      await closeRedis(redis);
    }
  });

  test("tell of a process that does not answer, and that it is back", async () => {
    const instance = new URL(cluster.url("worker")).host;
    const { child } = cluster.process("worker");
    child.kill("SIGSTOP");
    await told("HeadroomProcessDown", "firing", { instance });
    child.kill("SIGCONT");
    await told("HeadroomProcessDown", "resolved", { instance });
  });

  test("tell of a worker that answers and is cut from Redis, and that it is back", async () => {
    const instance = new URL(cluster.url("worker")).host;
    cluster.workersNetwork.cut();
    try {
      await told("HeadroomWorkerSilent", "firing", { instance });
      expect(monitoring.last("HeadroomWorkerSilent")?.annotations["summary"]).toMatch(/has looked for no job for 3\d/);
      expect(monitoring.last("HeadroomProcessDown", { instance })?.status).toBe("resolved");
    } finally {
      cluster.workersNetwork.heal();
    }
    await told("HeadroomWorkerSilent", "resolved", { instance });
  });
});

describe("dashboards", () => {
  const folder = join(root, "deploy/grafana/dashboards");

  test.each(readdirSync(folder))("%s has data on every panel", async (name) => {
    const { panels } = parseDashboard(readFileSync(join(folder, name), "utf8"));
    for (const { title, description = "", targets = [] } of panels) {
      for (const { expr } of targets) {
        const where = `${name}: ${title}: ${expr}`;
        // A few seconds after a start not every rate has the samples that it needs.
        const count = async () => (await monitoring.query(fillIn(expr))).length;
        if (!description.includes("Empty without"))
          await expect.poll(count, { ...PATIENT, message: where }).not.toBe(0);
        else if ((await count()) === 0) expect(await hasUntoldMetric(expr), where).toBe(true);
      }
    }
  });
});

test("a panel of the time that files take leads to the traces of their runs", async () => {
  const { panels } = parseDashboard(readFileSync(join(root, "deploy/grafana/dashboards/runs.json"), "utf8"));
  const targets = panels.find(({ title }) => title === "Time of a file")?.targets ?? [];
  const [expr = ""] = targets.flatMap((target) => (target.exemplar ? [target.expr] : []));
  const { scratch } = cluster.cli;
  scratch.file("traced/a.txt", "a");
  expect(await cluster.call(["run", "-i", "traced", "-o", "traced-out", "--", "cat", "{input}"])).toMatchObject({
    code: 0,
  });
  await expect.poll(() => monitoring.traces(fillIn(expr)), PATIENT).not.toEqual([]);
  for (const trace of await monitoring.traces(fillIn(expr))) expect(trace).toMatch(/^[0-9a-f]{32}$/);
});

/** Whether this machine lacks what an expression is about: then one of its metrics has no series at all. */
async function hasUntoldMetric(expr: string): Promise<boolean> {
  const names = [...expr.matchAll(/\bheadroom_\w+/g)].map(([name]) => name);
  const series = await Promise.all(names.map((name) => monitoring.query(name)));
  return series.some((found) => found.length === 0);
}

const FLOW = `version: 1
name: two steps
nodes:
  - id: first
    kind: exec
    command: [/bin/echo, hello]
    output: { name: first.txt }
    timeout_seconds: 1m
`;
