import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

interface RunJson {
  readonly state: string;
  readonly files: Record<string, number>;
  readonly failures: { failureClass: string; message: string }[];
}

describe("headroom run, over bad files and bad commands", () => {
  test("publishes nothing of a command that writes half and fails, and the rest goes on", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/bad.txt", "x");
    cli.scratch.file("in/good.txt", "y");
    const script = 'printf half > "$2"; case "$1" in *bad*) exit 9;; esac; printf whole > "$2"';
    const args = ["--attempts", "1", "--json", "--", "sh", "-c", script, "sh", "{input}", "{output}"];
    const run = await cli.json<RunJson>(["run", "-i", "in", "-o", "out", ...args]);
    expect(run).toMatchObject({ state: "failed", files: { succeeded: 1, failed: 1 } });
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual(["good.txt.output"]);
  });

  test("fails a command that writes nothing, unless empty outputs are good", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "x");
    const run = (...more: string[]) =>
      cli.json<RunJson>(["run", "-i", "in", "-o", "out", "--attempts", "1", "--json", ...more, "--", "true"]);
    expect((await run()).failures).toMatchObject([{ failureClass: "bad-output" }]);
    expect(await run("--allow-empty")).toMatchObject({ state: "succeeded" });
    expect(existsSync(join(cli.scratch.path, "out/a.txt.output"))).toBe(true);
  });

  test("ends a command at its time limit, and takes the exit codes that mean success", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "x");
    const run = (more: string[], command: string[]) =>
      cli.json<RunJson>(["run", "-i", "in", "-o", "out", "--attempts", "1", "--json", ...more, "--", ...command]);
    const late = await run(["--timeout", "300ms"], ["sleep", "60"]);
    expect(late.failures).toMatchObject([{ failureClass: "timeout" }]);
    const coded = await run(["--success-codes", "0,3"], ["sh", "-c", "echo fine; exit 3"]);
    expect(coded).toMatchObject({ state: "succeeded" });
  });

  test("ends the run when more files failed than allowed", async () => {
    await using cli = new Cli();
    for (let at = 0; at < 60; at += 1) cli.scratch.file(`in/${at}`, "x");
    const args = [
      "--attempts",
      "1",
      "--max-failures",
      "3",
      "--chunk-files",
      "1",
      "--json",
      "--",
      "sh",
      "-c",
      "sleep 0.05; false",
    ];
    const ended = await cli.call(["run", "-i", "in", "-o", "out", ...args]);
    expect(ended.code).toBe(1);
    const run = JSON.parse(ended.stdout) as RunJson;
    expect(run.files["failed"]).toBeGreaterThan(3);
    expect(run.files["failed"]).toBeLessThan(60);
  });

  test("takes a share of failures from all files, not from those that came first", async () => {
    await using cli = new Cli();
    for (let at = 0; at < 20; at += 1) cli.scratch.file(`in/${at}`, "x");
    const args = ["run", "-i", "in", "-o", "out", "--attempts", "1", "--chunk-files", "1", "--json"];
    const failing = (names: string) => [
      "--",
      "sh",
      "-c",
      `case "$1" in ${names}) exit 1;; esac; echo ok`,
      "sh",
      "{input}",
    ];
    const few = await cli.json<RunJson>([...args, "--max-failures", "10%", ...failing("*/3|*/7")]);
    expect(few).toMatchObject({ state: "failed", files: { total: 20, succeeded: 18, failed: 2 } });
    const many = await cli.call([...args.slice(0, -1), "--max-failures", "10%", ...failing("*")]);
    expect(many).toMatchObject({ code: 1 });
    expect(many.stdout).toContain("expected failed files to be at most 10 % of 20 files, found ");
  });

  test("has nothing to do over an empty folder, and says so", async () => {
    await using cli = new Cli();
    cli.scratch.folder("in");
    const ended = await cli.call(["run", "-i", "in", "-o", "out", "--", "cat", "{input}"]);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain("no files found");
    const hint = "; not looked at: hidden files (--hidden), links (--symlinks)";
    expect(ended.stderr).toContain(`headroom: found no file below ${join(cli.scratch.path, "in")}${hint}`);
  });

  test("tells a pattern that matches nothing, beside JSON too", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const ended = await cli.call(["run", "-i", "in/*.png", "-o", "out", "--hidden", "--json", "--", "cat", "{input}"]);
    expect(ended.code).toBe(0);
    expect((JSON.parse(ended.stdout) as RunJson).files["total"]).toBe(0);
    const folder = join(cli.scratch.path, "in");
    expect(ended.stderr).toContain(
      `headroom: found no file below ${folder} that matches *.png; not looked at: links (--symlinks)`,
    );
  });
});
