/** What a run leaves to be read: its report for people and for programs, and the figures of each file's process. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

const sha256 = (content: string | Buffer) => createHash("sha256").update(content).digest("hex");

interface Status {
  readonly progress: { readonly chunks: number };
}

test("tells outcomes, durations, memory, retries, failures, slowest files and artifacts; only what failed runs again", async () => {
  await using cli = new Cli();
  for (let at = 0; at < 40; at += 1) cli.scratch.file(`in/${at}`, `file ${at}\n`);
  const calls = join(cli.scratch.path, "calls");
  mkdirSync(calls);
  // One fails each time, one the first time, one takes long.
  const script = `echo >> '${calls}'/"$2"
    case "$2" in 3) echo "no such codec" >&2; exit 4;; 5) [ $(wc -l < '${calls}/5') -gt 1 ] || exit 4;; 7) sleep 0.5;; esac
    cat "$1"`;
  const args = ["--attempts", "3", "--json", "--", "sh", "-c", script, "sh", "{input}", "{name}"];
  const run = await cli.json<{ id: string }>(["run", "-i", "in", "-o", "out", ...args]);
  const counts = { total: 40, succeeded: 39, failed: 1, skipped: 0, cancelled: 0, quarantined: 0 };
  expect(run).toMatchObject({ state: "failed", files: counts });
  const made = (name: string) => readFileSync(join(calls, name), "utf8").length;
  expect(Array.from({ length: 40 }, (_one, at) => made(String(at)))).toEqual(
    Array.from({ length: 40 }, (_one, at) => ({ 3: 3, 5: 2 })[at] ?? 1),
  );
  // Some files shared a chunk, or nothing would have been proven.
  expect((await cli.json<Status>(["status", run.id, "--json"])).progress.chunks).toBeLessThan(40);

  const folder = join(cli.home, "runs", run.id);
  const report = JSON.parse(readFileSync(join(folder, "report.json"), "utf8")) as Record<string, unknown>;
  expect(report).toMatchObject({
    ...{ id: run.id, state: "failed", files: counts, retries: { exit: 3 } },
    failures: [{ failureClass: "exit", message: "expected exit code 0, found 4", files: 1, examples: ["3"] }],
    slowest: expect.arrayContaining([expect.objectContaining({ path: "7" })]) as unknown,
  });
  const figures = report as {
    readonly durationMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
    readonly durationSeconds: number;
    readonly filesPerSecond: number;
    readonly peakBytes: number;
    readonly artifacts: { readonly count: number; readonly examples: readonly object[] };
  };
  const { p50, p90, p99, max } = figures.durationMs;
  expect([p50, p90, p99, max]).toEqual([p50, p90, p99, max].toSorted((a, b) => a - b));
  expect(max).toBeGreaterThanOrEqual(500);
  expect(figures.filesPerSecond).toBeCloseTo(40 / figures.durationSeconds, 1);
  expect(figures.peakBytes).toBeGreaterThan(100_000);
  expect(figures.artifacts.count).toBe(39);
  const first = { path: "0.output", inputPath: "0", bytes: 7, sha256: sha256("file 0\n") };
  expect(figures.artifacts.examples).toContainEqual(first);

  const text = readFileSync(join(folder, "report.md"), "utf8");
  expect(text).toMatch(/^# Run \S+\n\n\*\*1 of 40 files failed\*\* in /);
  expect(text).toContain("| exit | 3 |");
  expect(text).toContain("| 1 | exit | expected exit code 0, found 4 | `no such codec` | `3` |");
  expect(text).toMatch(/\| p50 \| p90 \| p99 \| max \|\n[^\n]+\n\| \S+/);
  expect(text).toContain(`| \`0.output\` | 7 B | \`${first.sha256}\` |`);
  expect(text).toMatch(/## Slowest files\n[^#]*\| `7` \| 5\d\d ms/);
});

test("the manifest has the digests of input, binary and output, and what the process took", async () => {
  await using cli = new Cli();
  cli.scratch.file("in/a", "alpha\n");
  // Reads the clock of its own CPU time, so that it takes as much of it however busy the machine is.
  const burn = "1 while (times)[0] < 0.3; my $held = 'x' x 50_000_000; print <>";
  const run = await cli.json<{ id: string }>([
    "run",
    "-i",
    "in",
    "-o",
    "out",
    "--json",
    "--",
    "perl",
    "-e",
    burn,
    "{input}",
  ]);
  const row = await cli.json<Record<string, number>>(["export", run.id]);
  expect(row).toMatchObject({
    ...{ path: "a", outcome: "succeeded", exitCode: 0, attempts: 1, inputBytes: 6, outputBytes: 6 },
    ...{ inputSha256: sha256("alpha\n"), outputSha256: sha256("alpha\n") },
    binarySha256: sha256(readFileSync("/usr/bin/perl")),
  });
  expect(row["cpuMs"]).toBeGreaterThanOrEqual(290);
  expect(row["cpuMs"]).toBeLessThan(3_000);
  expect(row["durationMs"]).toBeGreaterThanOrEqual(290);
  expect(row["peakBytes"]).toBeGreaterThan(50_000_000);
});
