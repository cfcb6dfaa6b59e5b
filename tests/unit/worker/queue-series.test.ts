import { describe, expect, test } from "vitest";
import { Metrics } from "../../../src/platform/metrics.ts";
import { QueueSeries, tellWait } from "../../../src/worker/queue-series.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

const place = (name: string, profile: string) => ({ name, spec: { cpuCores: 1, labels: [], profile } });

function setUp() {
  const metrics = new Metrics({ version: "1", process: "worker" }, quietLogger);
  return { metrics, series: new QueueSeries(metrics) };
}

describe("series of a queue", () => {
  test("begin with 0 under the profile, whatever is behind it in the name of the queue", async () => {
    const { metrics, series } = setUp();
    series.begin(place("exec.gpu-0a1b2c@14", "gpu"));
    const text = await metrics.expose();
    expect(text).toContain('headroom_files_processed_total{outcome="failed",profile="gpu",model="",provider=""} 0\n');
    expect(text).toContain('headroom_file_duration_seconds_count{profile="gpu"} 0\n');
    expect(text).toContain('headroom_job_wait_seconds_count{job_name="exec",profile="gpu"} 0\n');
    expect(text).toContain('headroom_anomalies_total{target="memory",profile="gpu"} 0\n');
  });

  test("keep what they have counted when another queue of the profile comes", async () => {
    const { metrics, series } = setUp();
    series.begin(place("exec.default@14", "default"));
    metrics.histogram("headroom_file_duration_seconds").observe({ profile: "default" }, 1);
    series.begin(place("exec.default@15", "default"));
    series.begin(place("infer.default@14", "default"));
    expect(await metrics.expose()).toContain('headroom_file_duration_seconds_count{profile="default"} 1\n');
  });

  test("are not those of files for queues of scans and reports", async () => {
    const { metrics, series } = setUp();
    series.begin(place("scan.control@14", "control"));
    const text = await metrics.expose();
    expect(text).toContain('headroom_job_wait_seconds_count{job_name="scan",profile="control"} 0\n');
    expect(text).not.toContain('headroom_file_duration_seconds_count{profile="control"}');
  });
});

describe("wait of a job", () => {
  const job = { name: "exec", timestamp: 10_000, attemptsStarted: 1, opts: { delay: 2_000 } };
  const wait = async (change: object) => {
    const { metrics } = setUp();
    tellWait(metrics, { job: { ...job, ...change } as never, profile: "p" }, 15_000);
    return /headroom_job_wait_seconds_sum\{[^}]*\} (\S+)/.exec(await metrics.expose())?.[1];
  };

  test("counts from when it could run, at its first claim alone, and not for a report", async () => {
    expect(await wait({})).toBe("3");
    expect(await wait({ opts: { delay: 9_000 } })).toBe("0");
    expect(await wait({ attemptsStarted: 2 })).toBeUndefined();
    expect(await wait({ name: "report" })).toBeUndefined();
  });
});
