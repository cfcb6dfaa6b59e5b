import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MiB } from "../../../src/contract/resources.ts";
import type { FileResult } from "../../../src/contract/files.ts";
import type { LearnedSummary } from "../../../src/platform/learned/learned-archive.ts";
import { Cli } from "./cli-process.ts";

/** Takes 100 bytes of memory for each byte of its input, all of them written to, and holds them for a moment. */
const hungry = [
  "perl",
  "-e",
  '$x = "x" x (100 * -s $ARGV[0]); select undef, undef, undef, 0.3; print length $x',
  "{input}",
];

function makeFiles(cli: Cli, sizes: readonly number[]): void {
  for (const [at, size] of sizes.entries()) cli.scratch.file(`in/f${at}`, "y".repeat(size));
}

test("a run teaches what its command takes, and that is shown, moved and forgotten", async () => {
  await using cli = new Cli();
  makeFiles(cli, [100_000, 200_000, 400_000, 800_000, 300_000, 600_000, 700_000, 500_000, 900_000, 150_000]);
  const run = ["run", "-i", "in", "-o", "out", "--memory", "16MiB", "--json", "--", ...hungry];
  expect((await cli.call(run)).code).toBe(0);
  const [learned, ...others] = await cli.json<LearnedSummary[]>(["learned", "--json"]);
  expect(others).toEqual([]);
  expect(learned).toMatchObject({ profile: "default", jobs: 10 });
  expect(learned?.memoryBytes.p95).toBeGreaterThan(50 * MiB);
  expect((await cli.call(["learned"])).stdout).toContain(`default:${learned?.key.slice(8, 16)}`);
  const file = join(cli.scratch.path, "learned.json");
  expect((await cli.call(["learned", "export", file])).code).toBe(0);
  expect(await cli.call(["learned", "reset", "default:"])).toMatchObject({ code: 0 });
  expect(await cli.json(["learned", "--json"])).toEqual([]);
  expect(await cli.call(["learned", "import", file])).toMatchObject({ code: 0 });
  expect(await cli.json(["learned", "--json"])).toEqual([learned]);
  writeFileSync(file, readFileSync(file, "utf8").replace('"v": "1"', '"v": "7"'));
  expect(await cli.call(["learned", "import", file])).toMatchObject({ code: 2, stdout: "" });
  expect(await cli.call(["learned", "reset"])).toMatchObject({ code: 2 });
  expect((await cli.call(["learned", "reset", "--all"])).stderr).toContain("1 class forgotten");
});

test("calibrate measures a few files alone and proposes no less than it saw", async () => {
  await using cli = new Cli();
  makeFiles(cli, [100_000, 900_000, 300_000, 500_000, 700_000, 200_000]);
  writeFileSync(join(cli.scratch.path, "run.yaml"), "# mine\nlimits:\n  timeout_seconds: 60 # enough\n");
  const ask = [
    "calibrate",
    "-i",
    "in",
    "-c",
    "run.yaml",
    "--files",
    "4",
    "--write",
    "run.yaml",
    "--json",
    "--",
    ...hungry,
  ];
  const answer = await cli.json<{
    memoryBytes: number;
    picture: string;
    files: { path: string; inputBytes: number; peakBytes: number }[];
  }>(ask);
  const sizes = answer.files.map(({ inputBytes }) => inputBytes);
  expect(sizes).toHaveLength(4);
  expect([sizes[0], sizes[3]]).toEqual([100_000, 900_000]);
  expect(answer.memoryBytes).toBeGreaterThanOrEqual(Math.max(...answer.files.map(({ peakBytes }) => peakBytes)));
  expect(readFileSync(answer.picture, "utf8")).toMatch(/^<svg /);
  const config = readFileSync(join(cli.scratch.path, "run.yaml"), "utf8");
  expect(config).toContain("# mine");
  expect(config).toContain(`memory: ${answer.memoryBytes / MiB}MiB`);
  expect((await cli.call(["config", "validate", "run.yaml"])).code).toBe(0);
  expect(existsSync(join(cli.scratch.path, "out"))).toBe(false);
  expect(await cli.call(["calibrate", "-i", "in", "--files", "2", "--", ...hungry])).toMatchObject({ code: 2 });
});

test("calibration.files run first, one at a time: the smallest, the largest and some between", async () => {
  await using cli = new Cli();
  const sizes = [5, 9, 2, 7, 12, 1, 8, 4, 11, 3, 10, 6].map((size) => size * 1_000);
  makeFiles(cli, sizes);
  const env = { HEADROOM_CALIBRATION_FILES: "4" };
  const run = ["run", "-i", "in", "-o", "out", "-j", "4", "--memory", "16MiB", "--json", "--", ...hungry];
  const { stdout, code } = await cli.call(run, { env });
  expect(code).toBe(0);
  const { id } = JSON.parse(stdout) as { id: string };
  const rows = (await cli.call(["export", id])).stdout.trim().split("\n");
  const times = rows
    .map((row) => JSON.parse(row) as FileResult)
    .map(({ path, startedAtMs, durationMs }) => {
      const from = startedAtMs ?? 0;
      return { bytes: sizes[Number(path.slice(1))], from, to: from + (durationMs ?? 0) };
    })
    .toSorted((a, b) => a.from - b.from);
  const alone = times.slice(0, 4);
  expect(alone.map(({ bytes }) => bytes)).toEqual([1_000, 5_000, 8_000, 12_000]);
  for (const [at, { to }] of alone.entries()) {
    const next = Math.min(...times.slice(at + 1).map(({ from }) => from));
    // Two clocks, one of whole milliseconds.
    expect(next).toBeGreaterThanOrEqual(to - 2);
  }
});
