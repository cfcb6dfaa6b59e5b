/** A report as the store keeps it, of a run whose files all succeeded. */
import type { RunReport } from "../../src/contract/run-record.ts";

export function reportOf(id: string, change: Partial<RunReport> = {}): RunReport {
  return {
    ...{ id, name: null, state: "succeeded", epoch: 0, command: ["/usr/bin/sha256sum", "{input}"] },
    ...{ input: "/data/in", output: "/data/out", startedAtMs: 1_000, endedAtMs: 3_000, isScanned: true, reused: 0 },
    files: { total: 2, succeeded: 2, failed: 0, skipped: 0, cancelled: 0, quarantined: 0 },
    ...{ durationSeconds: 2, filesPerSecond: 1, durationMs: null, peakBytes: null, cpuSeconds: 0 },
    ...{ inputBytes: 10, outputBytes: 20, retries: {}, fenced: 0, failures: [], slowest: [] },
    artifacts: { count: 0, bytes: 0, examples: [] },
    ...change,
  };
}
