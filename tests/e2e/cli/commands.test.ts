import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

describe("headroom", () => {
  test("shows, explains, exports and cancels an ended run", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a, b.txt", "alpha\n");
    cli.scratch.file("in/c.txt", "gamma\n");
    const run = await cli.json<{ id: string }>(["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"]);
    const status = await cli.json<object>(["status", run.id, "--json"]);
    expect(status).toMatchObject({ id: run.id, state: "succeeded", files: { total: 2 }, progress: { doneFiles: 2 } });
    expect(await cli.json(["explain", run.id, "--json"])).toMatchObject({
      state: "succeeded",
      reasons: [{ code: "ended" }],
    });
    expect((await cli.call(["cancel", run.id])).stdout).toContain("had ended before: succeeded");
    const rows = (await cli.call(["export", run.id])).stdout.trim().split("\n");
    expect(rows.map((row) => JSON.parse(row) as unknown)).toMatchObject([
      { path: "a, b.txt", outcome: "succeeded", outputPath: "a, b.txt.output" },
      { path: "c.txt", exitCode: 0 },
    ]);
    const csv = (await cli.call(["export", run.id, "--format", "csv"])).stdout.split("\r\n");
    expect(csv[0]).toMatch(/^index,path,outcome,/);
    expect(csv[1]).toContain('"a, b.txt",succeeded');
    const file = join(cli.scratch.path, "joblog");
    await cli.call(["export", run.id, "--format", "joblog", "--output", file]);
    const joblog = readFileSync(file, "utf8").split("\n");
    expect(joblog[0]).toBe("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand");
    expect(joblog.slice(1, 3).map((line) => line.split("\t")[6])).toEqual(["0", "0"]);
    expect(await cli.call(["export", "nope"])).toMatchObject({ code: 2, stdout: "" });
    expect(await cli.call(["status", "nope"])).toMatchObject({ code: 2 });
  });

  test("reports every fault of a configuration together, with a suggestion", async () => {
    await using cli = new Cli();
    writeFileSync(
      join(cli.scratch.path, "bad.yaml"),
      "resources:\n  max_proceses: 3\n  cpu_threshold_percent: 180\nbinary: {}\n",
    );
    const ended = await cli.call(["config", "validate", "bad.yaml"]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("3 faults");
    expect(ended.stderr).toContain("max_processes");
    expect((await cli.call(["config", "init", "good.yaml"])).code).toBe(0);
    expect(await cli.call(["config", "init", "good.yaml"])).toMatchObject({ code: 2 });
    expect((await cli.call(["config", "validate", "good.yaml"])).code).toBe(0);
  });

  test("doctor says what is in order and exits 3 for what is not", async () => {
    await using cli = new Cli();
    const fine = await cli.json<{ ok: boolean; checks: { check: string; status: string }[] }>(["doctor", "--json"]);
    expect(fine.ok).toBe(true);
    expect(fine.checks.map(({ check }) => check)).toEqual(
      expect.arrayContaining(["node", "redis", "store", "perl", "disk"]),
    );
    const bad = await cli.call(["doctor", "--redis", "redis://127.0.0.1:1"]);
    expect(bad.code).toBe(3);
    expect(bad.stdout).toContain("fix:");
  });

  test("prints version and help, and refuses what it does not know", async () => {
    await using cli = new Cli();
    expect((await cli.call(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    for (const name of [
      "run",
      "status",
      "runs",
      "cancel",
      "explain",
      "export",
      "doctor",
      "config",
      "up",
      "worker",
      "scheduler",
      "producer",
      "board",
    ]) {
      const help = await cli.call([name, "--help"]);
      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(help.stdout).toContain("Examples:");
    }
    expect(await cli.call(["statsu"])).toMatchObject({ code: 2 });
    expect(await cli.call(["runs", "--limit", "many"])).toMatchObject({ code: 2 });
    expect(await cli.call(["runs", "--", "cat"])).toMatchObject({ code: 2 });
    expect(await cli.call(["runs"], { env: { HEADROOM_LOG: "loud" } })).toMatchObject({ code: 2 });
  });
});
