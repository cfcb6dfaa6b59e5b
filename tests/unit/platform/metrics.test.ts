import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { MetricDefinition } from "../../../src/contract/metric-definition.ts";
import { metricTable } from "../../../src/contract/metric-names.ts";
import { metricZeros } from "../../../src/contract/metric-zeros.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import { keepingLogger, quietLogger } from "../../support/quiet-logger.ts";

const build = { version: "1.2.3", process: "worker" } as const;
const table = Object.entries<MetricDefinition>(metricTable);

describe("metric table", () => {
  test.each(table)("%s follows the naming rules", (name, { type, help, labels, buckets }) => {
    expect(name).toMatch(/^headroom_[a-z_]+$/);
    expect(name.endsWith("_total")).toBe(type === "counter");
    expect(name).not.toMatch(/_(ms|millis|milliseconds|kb|mb|percent)(_|$)/);
    expect(help).toMatch(/^[A-Z].*\.$/);
    if (type === "histogram") expect(buckets).toEqual([...(buckets ?? [])].sort((a, b) => a - b));
    else expect(buckets).toBeUndefined();
    // An id as a label would make a new series for each run, job or file.
    for (const label of labels) expect(label).not.toMatch(/id$|path|^file$|^run$|^job$|trace/);
  });
});

describe("metrics", () => {
  test("expose every metric of the table", async () => {
    const text = await new Metrics(build, quietLogger).expose();
    for (const [name, { type }] of table) expect(text).toContain(`# TYPE ${name} ${type}\n`);
    expect(text).toContain(`headroom_build_info{version="1.2.3",process="worker",node="${process.version}"} 1`);
    expect(text.endsWith("\n")).toBe(true);
  });

  test("have no value of a gauge before somebody sets it", async () => {
    const metrics = new Metrics(build, quietLogger);
    const before = await metrics.expose();
    for (const [name, { type }] of table) {
      const isSet = name === "headroom_build_info" || name === "headroom_event_loop_lag_seconds";
      if (type === "gauge" && !isSet) expect(before).not.toMatch(new RegExp(`^${name}[ {]`, "m"));
    }
    metrics.gauge("headroom_redis_memory_bytes").set(0);
    expect(await metrics.expose()).toMatch(/^headroom_redis_memory_bytes 0$/m);
  });

  test("have the series of their process with 0 before anything happens, and no other's", async () => {
    const text = await new Metrics(build, quietLogger).expose();
    const lines = text.split("\n");
    for (const [name, { by, series }] of Object.entries(metricZeros)) {
      const told = lines.filter((line) => line.startsWith(`${name}{`));
      expect(told, name).toHaveLength((by as readonly string[]).includes("worker") ? series.length : 0);
      for (const line of told) expect(line).toMatch(/ 0$/);
    }
    expect(text).toContain('headroom_results_total{outcome="quarantined",failure_class="signal"} 0\n');
    expect(text).toContain("\nheadroom_fenced_total 0\n");
    const all = await new Metrics({ ...build, process: "up" }, quietLogger).expose();
    expect(all).toContain('headroom_repairs_total{repair="requeue"} 0\n');
  });

  test("count, set and observe under the labels of the table", async () => {
    const metrics = new Metrics(build, quietLogger);
    metrics
      .counter("headroom_files_processed_total")
      .inc({ outcome: "succeeded", profile: "default", model: "", provider: "" }, 2);
    metrics.gauge("headroom_capacity").set({ resource: "cpuCores" }, 1.5);
    metrics.histogram("headroom_file_duration_seconds").observe({ profile: "default" }, 0.02);
    const text = await metrics.expose();
    expect(text).toContain(
      'headroom_files_processed_total{outcome="succeeded",profile="default",model="",provider=""} 2',
    );
    expect(text).toContain('headroom_capacity{resource="cpuCores"} 1.5');
    expect(text).toContain('headroom_file_duration_seconds_bucket{le="0.025",profile="default"} 1');
  });

  test("do not compile for a name or a label that is not in the table", () => {
    const metrics = new Metrics(build, quietLogger);
    // @ts-expect-error: no such metric
    expect(metrics.counter("headroom_nonsense_total")).toBeUndefined();
    // @ts-expect-error: a gauge is no counter
    metrics.counter("headroom_capacity");
    expect(() => {
      // @ts-expect-error: no such label
      metrics.gauge("headroom_capacity").set({ runId: "7" }, 1);
    }).toThrow(/runId/);
  });

  test("are exposed even when a collector fails, and say so", async () => {
    const { logger, lines } = keepingLogger();
    const metrics = new Metrics(build, logger);
    metrics.onCollect(() => Promise.reject(new Error("redis is down")));
    metrics.onCollect(() => {
      metrics.gauge("headroom_last_claim_age_seconds").set(7);
    });
    expect(await metrics.expose()).toContain("headroom_last_claim_age_seconds 7");
    expect(lines()).toMatchObject([{ level: "warn", msg: "metrics not collected", err: { message: "redis is down" } }]);
  });

  test("are exposed within the time of a scrape when a collector hangs, and say so", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { logger, lines } = keepingLogger();
    const metrics = new Metrics(build, logger);
    metrics.onCollect(() => new Promise(() => undefined));
    metrics.gauge("headroom_last_claim_age_seconds").set(7);
    const text = metrics.expose();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(await text).toContain("headroom_last_claim_age_seconds 7");
    expect(lines()).toMatchObject([{ level: "warn", msg: "metrics not collected" }]);
  });

  test("see a blocked event loop", async () => {
    const metrics = new Metrics(build, quietLogger);
    onTestFinished(() => metrics.stop());
    await metrics.start();
    await metrics.start();
    await expect
      .poll(
        () => {
          const untilMs = performance.now() + 60;
          while (performance.now() < untilMs);
          return metrics.eventLoopLag.quantiles().maxSeconds;
        },
        { interval: 30 },
      )
      .toBeGreaterThan(0.04);
    const text = await metrics.expose();
    expect(text).toMatch(/headroom_event_loop_lag_seconds\{quantile="0.99"\} 0\.\d/);
    expect(text).toContain("process_cpu_seconds_total");
  });
});
