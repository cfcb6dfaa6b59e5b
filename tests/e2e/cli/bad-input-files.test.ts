import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

interface RunJson {
  readonly state: string;
  readonly files: Record<string, number>;
  readonly failures: { failureClass: string; message: string; examples: string[] }[];
}

const runArgs = ["run", "-i", "in", "-o", "out", "--attempts", "1", "--json"];

describe("headroom run, over files that are not as they should be", () => {
  test("gives one of two inputs the name that both want, and fails the other", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a/x", "1");
    cli.scratch.file("in/b/x", "2");
    const run = await cli.json<RunJson>([...runArgs, "--name", "{name}", "--", "cat", "{input}"]);
    expect(run.files).toMatchObject({ succeeded: 1, failed: 1 });
    expect(run.failures).toMatchObject([{ failureClass: "bad-input" }]);
    expect(run.failures[0]?.message).toContain('expected an output name of its own, found "x"');
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual(["x"]);
  });

  test("keeps output names inside the output folder", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a", "1");
    const refused = await cli.call([...runArgs, "--name", "../{name}", "--", "cat", "{input}"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("expected a path below the output folder, without .., found");
    expect(existsSync(join(cli.scratch.path, "a"))).toBe(false);
  });

  test("reads no link that leads out, ends at loops, and goes on with the rest", async () => {
    await using cli = new Cli();
    const secret = cli.scratch.file("outside", "secret");
    cli.scratch.file("in/x", "x");
    symlinkSync(secret, join(cli.scratch.path, "in/escape"));
    symlinkSync(".", join(cli.scratch.path, "in/loop"));
    symlinkSync("nothing", join(cli.scratch.path, "in/dangling"));
    symlinkSync("x", join(cli.scratch.path, "in/good"));
    const run = await cli.json<RunJson>([...runArgs, "--symlinks", "follow", "--", "cat", "{input}"]);
    expect(run.files).toMatchObject({ total: 5, succeeded: 2, failed: 3 });
    const said = new Map(run.failures.map(({ message, examples }) => [examples[0], message]));
    expect(said.get("escape")).toContain("expected a link that stays inside the input folder");
    expect(said.get("loop")).toBe("expected no loop, found a link to a folder above it");
    expect(said.get("dangling")).toBe("expected a link to a file, found one to nothing");
    expect(readdirSync(join(cli.scratch.path, "out")).sort()).toEqual(["good.output", "x.output"]);
  });

  test("fails only the file that vanishes and the one that changes while their processes run", async () => {
    await using cli = new Cli();
    for (const name of ["gone", "changed", "good"]) cli.scratch.file(`in/${name}`, name);
    const script = 'case "$1" in *gone) rm "$1";; *changed) echo more >> "$1";; esac; echo done';
    const run = await cli.json<RunJson>([...runArgs, "--", "sh", "-c", script, "sh", "{input}"]);
    expect(run.files).toMatchObject({ total: 3, succeeded: 1, failed: 2 });
    expect(run.failures.every(({ failureClass }) => failureClass === "bad-input")).toBe(true);
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual(["good.output"]);
  });

  test("runs empty files, and fails listed ones that are not there", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/empty", "");
    const args = ["run", "-i", "-", "-o", "out", "--attempts", "1", "--json", "--", "sh", "-c", "echo ran"];
    const run = await cli.json<RunJson>(args, { stdin: "in/empty\nin/none\n" });
    expect(run.files).toMatchObject({ total: 2, succeeded: 1, failed: 1 });
    expect(run.failures).toMatchObject([{ failureClass: "bad-input", examples: ["in/none"] }]);
    expect(await cli.call(args, { stdin: "" })).toMatchObject({ code: 2 });
  });

  test("names folders and files that it may not read or write", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/good", "1");
    const locked = [cli.scratch.folder("in/locked"), cli.scratch.file("in/secret", "2"), cli.scratch.folder("shut")];
    for (const path of locked) chmodSync(path, 0);
    const call = (args: readonly string[]) => cli.call(args, { isHeldToPermissions: true });
    const run = JSON.parse((await call([...runArgs, "--", "cat", "{input}"])).stdout) as RunJson;
    expect(run.files).toMatchObject({ total: 3, succeeded: 1, failed: 2 });
    const said = new Map(run.failures.map(({ message, examples }) => [examples[0], message]));
    expect(said.get("locked")).toBe("expected a readable folder, found permission denied");
    expect(said.get("secret")).toBe("expected a file that can be read, found no permission to read it");
    const unreadable = await call(["run", "-i", "shut", "-o", "out", "--", "cat", "{input}"]);
    expect(unreadable).toMatchObject({ code: 2, stdout: "" });
    expect(unreadable.stderr).toMatch(/^headroom: --input: expected a folder at \S+ that can be read, found EACCES/);
    const unwritable = await call(["run", "-i", "in", "-o", "shut/out", "--", "cat", "{input}"]);
    expect(unwritable).toMatchObject({ code: 2, stdout: "" });
    expect(unwritable.stderr).toMatch(
      /^headroom: --output: expected a folder at \S+ that can be written, found EACCES/,
    );
    for (const path of locked) chmodSync(path, 0o700);
  });
});

describe("headroom run, with commands that misbehave", () => {
  test("ends grandchildren that would outlive their process, and keeps the end of a flood of output", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a", "1");
    const pids = join(cli.scratch.path, "pids");
    const script = `setsid sleep 600 >/dev/null 2>&1 & echo $! > '${pids}'; head -c 200000000 /dev/zero >&2; echo last words >&2; echo ok`;
    const run = await cli.json<RunJson & { id: string }>([...runArgs, "--", "sh", "-c", script]);
    expect(run.state).toBe("succeeded");
    const pid = Number(readFileSync(pids, "utf8"));
    await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
    const { log } = await cli.json<{ log: string }>(["export", run.id]);
    expect(log.length).toBeLessThan(1_000_000);
    expect(log.endsWith("last words\n")).toBe(true);
  });

  test("refuses a check command that is not there, before anything runs", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a", "1");
    const missing = await cli.call([...runArgs, "--check", "no-such-program {output}", "--", "cat", "{input}"]);
    expect(missing).toMatchObject({ code: 2 });
    expect(missing.stderr).toContain('--check: expected "no-such-program" to be an executable file on the PATH');
    const checked = await cli.json<RunJson>([...runArgs, "--check", "grep -q 2 {output}", "--", "cat", "{input}"]);
    expect(checked.failures).toMatchObject([{ failureClass: "bad-output" }]);
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual([]);
  });

  test("tells five faults of a configuration together, and starts nothing", async () => {
    await using cli = new Cli();
    mkdirSync(join(cli.scratch.path, "in"));
    const text = `binary:
  path: /bin/cat
  flags: "--x"
directories:
  input: in
  outptu: out
resources:
  max_processes: zero
  memory_threshold_percent: 180
limits:
  timeout_seconds: -5
`;
    writeFileSync(join(cli.scratch.path, "five.yaml"), text);
    const ended = await cli.call(["run", "--config", "five.yaml"]);
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr.split("\n")).toEqual([
      "headroom: run with five.yaml has 5 faults",
      '  binary.flags (line 3): expected a list, found "--x"',
      '  directories.outptu (line 6): expected a known key (did you mean "output"?), found the unknown key "outptu"',
      '  resources.max_processes (line 8): expected a number, found "zero"',
      "  resources.memory_threshold_percent (line 9): expected a number, 100 at most, found 180",
      expect.stringContaining("  limits.timeout_seconds (line 11): expected "),
      "",
    ]);
    expect(existsSync(join(cli.home, "redis"))).toBe(false);
  });
});
