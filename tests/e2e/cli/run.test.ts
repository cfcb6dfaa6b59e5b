import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

interface RunJson {
  readonly id: string;
  readonly state: string;
  readonly files: Record<string, number>;
  readonly failures: { failureClass: string; files: number }[];
  readonly output: string;
}

function threeFiles(cli: Cli): void {
  cli.scratch.file("in/a.txt", "alpha\n");
  cli.scratch.file("in/sub/b c.txt", "beta\n");
  cli.scratch.file("in/sub/d.txt", "delta\n");
}

describe("headroom run", () => {
  test("runs a binary over a folder, mirrors the folders and prints the report", async () => {
    await using cli = new Cli();
    threeFiles(cli);
    const ended = await cli.call(["run", "--input", "in", "--output", "out", "--", "sha256sum", "{input}"]);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toContain("✓ 3 files succeeded");
    const output = readFileSync(join(cli.scratch.path, "out/sub/b c.txt.output"), "utf8");
    expect(output.startsWith(createHash("sha256").update("beta\n").digest("hex"))).toBe(true);
    const [id = ""] = readdirSync(join(cli.home, "runs"));
    expect(readdirSync(join(cli.home, "runs", id)).sort()).toEqual(["report.json", "report.md"]);
    expect(existsSync(join(cli.home, "redis/run/redis.sock"))).toBe(false);
  });

  test("prints exactly one object with --json, and runs --json lists it first", async () => {
    await using cli = new Cli();
    threeFiles(cli);
    const script = 'case "$1" in *d.txt) exit 7;; esac; cat "$1"';
    const args = [
      "run",
      "-i",
      "in",
      "-o",
      "out",
      "--json",
      "--attempts",
      "1",
      "--",
      "sh",
      "-c",
      script,
      "sh",
      "{input}",
    ];
    const ended = await cli.call(args);
    expect(ended.code).toBe(1);
    const run = JSON.parse(ended.stdout) as RunJson;
    const keys = ["id", "state", "files", "durationSeconds", "filesPerSecond", "failures", "output"];
    expect(Object.keys(run)).toEqual(keys);
    expect(run.files).toEqual({ total: 3, succeeded: 2, failed: 1, skipped: 0, cancelled: 0, quarantined: 0 });
    expect(run).toMatchObject({ state: "failed", output: join(cli.scratch.path, "out") });
    expect(run.failures).toMatchObject([{ failureClass: "exit", files: 1, examples: ["sub/d.txt"] }]);
    await cli.call(["run", "-i", "in", "-o", "out", "--", "cat", "{input}"]);
    const runs = await cli.json<{ id: string; state: string }[]>(["runs", "--json"]);
    expect(runs.map(({ state }) => state)).toEqual(["succeeded", "failed"]);
    expect(runs[1]?.id).toBe(run.id);
  });

  test("runs the configuration file that people have", async () => {
    await using cli = new Cli();
    threeFiles(cli);
    const folder = cli.scratch.path;
    writeFileSync(join(folder, "tool"), '#!/bin/sh\ncp "${1#--input=}" "${2#--output=}"\n', { mode: 0o755 });
    writeFileSync(
      join(folder, "run.yaml"),
      `binary:
  path: "${folder}/tool"
  flags:
    - "--input={input_file}"
    - "--output={output_file}"
directories:
  input: "${folder}/in"
  output: "${folder}/made/out"
resources:
  max_processes: 3
  memory_threshold_percent: 80
  cpu_threshold_percent: 80
`,
    );
    const ended = await cli.call(["run", "--config", "run.yaml"]);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(join(folder, "made/out/a.txt.output"), "utf8")).toBe("alpha\n");
    const printed = await cli.json<{ resources: object }>(["config", "print", "run.yaml", "--json"]);
    expect(printed.resources).toMatchObject({ max_processes: 3 });
  });

  test("shows with --dry-run what would run and starts nothing", async () => {
    await using cli = new Cli();
    threeFiles(cli);
    const args = ["run", "-i", "in", "-o", "out", "--dry-run", "--", "sha256sum", "{input}"];
    const ended = await cli.call(args, { env: { HEADROOM_REDIS_SERVER: "/nowhere" } });
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain("3 files would run, 17 B; nothing was started");
    expect(ended.stdout).toContain(`'${join(cli.scratch.path, "in/sub/b c.txt")}'`);
    expect(existsSync(join(cli.scratch.path, "out"))).toBe(false);
    expect(existsSync(join(cli.home, "redis"))).toBe(false);
    const same = await cli.call([
      "run",
      "-i",
      "in",
      "-o",
      "out",
      "-n",
      "x",
      "--dry-run",
      "--json",
      "--",
      "cat",
      "{input}",
    ]);
    expect(same.code).toBe(1);
    expect(JSON.parse(same.stdout)).toMatchObject({ dryRun: true, files: 1, problems: { count: 2 } });
  });

  test("takes any name that a file system takes", async () => {
    await using cli = new Cli();
    const names = ["-leading", "two\nlines", "quo'te\"s", "sp ace", "ünïcode", "$(touch x);`id`"];
    for (const name of names) cli.scratch.file(`in/${name}`, name);
    const raw = Buffer.concat([Buffer.from(join(cli.scratch.path, "in/raw-")), Buffer.of(0xff)]);
    writeFileSync(raw, "raw");
    const run = await cli.json<RunJson>(["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"]);
    expect(run).toMatchObject({ state: "succeeded", files: { total: 7, succeeded: 7 } });
    for (const name of names) {
      expect(readFileSync(join(cli.scratch.path, "out", `${name}.output`), "utf8")).toBe(name);
    }
    const made = readdirSync(join(cli.scratch.path, "out"), { encoding: "buffer" });
    expect(
      made.some((name) => name.equals(Buffer.concat([Buffer.from("raw-"), Buffer.of(0xff), Buffer.from(".output")]))),
    ).toBe(true);
    expect(existsSync(join(cli.scratch.path, "x"))).toBe(false);
  });

  test("takes a list from standard input, by newline and by NUL, inside and outside of the current folder", async () => {
    await using cli = new Cli();
    threeFiles(cli);
    const run = (stdin: string, args: string[], cwd?: string) =>
      cli.json<RunJson>(["run", "-i", "-", ...args, "--json", "--", "cat", "{input}"], { stdin, ...(cwd && { cwd }) });
    expect(await run("in/a.txt\nin/sub/d.txt\n", ["-o", "out1"])).toMatchObject({
      state: "succeeded",
      files: { total: 2 },
    });
    expect(existsSync(join(cli.scratch.path, "out1/in/sub/d.txt.output"))).toBe(true);
    expect(await run("in/a.txt\0in/sub/b c.txt", ["-o", "out2", "-0"])).toMatchObject({ files: { succeeded: 2 } });
    mkdirSync(join(cli.scratch.path, "elsewhere"));
    const absolute = `${join(cli.scratch.path, "in/a.txt")}\n`;
    expect(await run(absolute, ["-o", "out"], join(cli.scratch.path, "elsewhere"))).toMatchObject({
      files: { succeeded: 1 },
    });
    // In any order: a relative name is that of a file below the current folder, whatever stands beside it.
    cli.scratch.file("elsewhere/own.txt", "own");
    for (const [at, list] of [`${absolute}own.txt\n`, `own.txt\n${absolute}`].entries()) {
      const mixed = await run(list, ["-o", `mixed${at}`], join(cli.scratch.path, "elsewhere"));
      expect(mixed).toMatchObject({ files: { total: 2, succeeded: 2 } });
      const own = join(cli.scratch.path, `elsewhere/mixed${at}`, cli.scratch.path, "elsewhere/own.txt.output");
      expect(readFileSync(own, "utf8")).toBe("own");
    }
    expect(readdirSync(join(cli.home, "tmp"))).toEqual([]);
  });

  test("makes one call for all files of a chunk, as many as it may hold", async () => {
    await using cli = new Cli();
    for (let at = 0; at < 25; at += 1) cli.scratch.file(`in/${at}`, "content\n");
    const args = [
      "run",
      "-i",
      "in",
      "-o",
      "out",
      "--chunk-files",
      "10",
      "--",
      "sh",
      "-c",
      'echo "$#"',
      "sh",
      "{inputs}",
    ];
    expect(await cli.call(args)).toMatchObject({ code: 0 });
    const calls = readdirSync(join(cli.scratch.path, "out")).map((name) =>
      Number(readFileSync(join(cli.scratch.path, "out", name), "utf8")),
    );
    expect(calls.toSorted((a, b) => b - a)).toEqual([10, 10, 5]);
  });

  test("makes one call for all files that writes one output of its own", async () => {
    await using cli = new Cli();
    for (const name of ["a", "b", "c"]) cli.scratch.file(`in/${name}`, `${name}\n`);
    const command = ["sh", "-c", 'out="$1"; shift; cat "$@" > "$out"', "sh", "{output}", "{inputs}"];
    expect(await cli.call(["run", "-i", "in", "-o", "out", "--", ...command])).toMatchObject({ code: 0 });
    const outputs = readdirSync(join(cli.scratch.path, "out"));
    expect(outputs).toHaveLength(1);
    const lines = readFileSync(join(cli.scratch.path, "out", outputs[0] ?? ""), "utf8")
      .trim()
      .split("\n");
    expect(lines.sort()).toEqual(["a", "b", "c"]);
  });

  test("resumes over exactly what is new or changed", async () => {
    await using cli = new Cli();
    threeFiles(cli);
    const log = join(cli.scratch.path, "calls");
    const script = `echo "$1" >> '${log}'; cat "$1"`;
    const { id } = await cli.json<RunJson>([
      "run",
      "-i",
      "in",
      "-o",
      "out",
      "--json",
      "--",
      "sh",
      "-c",
      script,
      "sh",
      "{input}",
    ]);
    expect(readFileSync(log, "utf8").trim().split("\n")).toHaveLength(3);
    writeFileSync(log, "");
    cli.scratch.file("in/a.txt", "changed\n");
    cli.scratch.file("in/0-new.txt", "new\n");
    const again = await cli.json<RunJson>(["run", "--resume", id, "--json"]);
    expect(again).toMatchObject({ id, state: "succeeded", files: { total: 4, succeeded: 4 } });
    const calls = readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((path) => path.slice(path.lastIndexOf("/") + 1));
    expect(calls.sort()).toEqual(["0-new.txt", "a.txt"]);
    expect(await cli.call(["run", "--resume", "nope"])).toMatchObject({ code: 2 });
  });

  test("resumes a list in another order with the number that each file had", async () => {
    await using cli = new Cli();
    for (const name of ["a", "b", "c", "new", "newer"]) cli.scratch.file(`in/${name}`, `${name}\n`);
    const log = join(cli.scratch.path, "calls");
    const listOf = (names: string) => names.replace(/\S+/g, (name) => `in/${name}`).replaceAll(" ", "\n");
    const command = ["--name", "{index}-{name}", "--", "sh", "-c", `echo "$1" >> '${log}'; cat "$1"`, "sh", "{input}"];
    const { id } = await cli.json<RunJson>(["run", "-i", "-", "-o", "out", "--json", ...command], {
      stdin: listOf("a b c"),
    });
    const first = readdirSync(join(cli.scratch.path, "out")).toSorted();
    expect(first).toEqual(["0-a", "1-b", "2-c"]);
    writeFileSync(log, "");
    const resume = ["run", "--resume", id, "-i", "-", "--json"];
    const again = await cli.json<RunJson>(resume, { stdin: listOf("new c newer b a") });
    expect(again).toMatchObject({ state: "succeeded", files: { total: 5, succeeded: 5 } });
    expect(readdirSync(join(cli.scratch.path, "out")).toSorted()).toEqual([...first, "3-new", "4-newer"]);
    const calls = readFileSync(log, "utf8").trim().split("\n");
    expect(calls.map((path) => path.slice(path.lastIndexOf("/") + 1)).toSorted()).toEqual(["new", "newer"]);
    // Names outside of what outputs are named by would move them all.
    const foreign = await cli.call(resume, { stdin: `${listOf("a b")}\n/etc/hostname` });
    expect(foreign).toMatchObject({ code: 2 });
    expect(foreign.stderr).toContain(`list entry 3: expected a path inside ${cli.scratch.path}, found /etc/hostname`);
  });

  test("tells all that is wrong at once and exits 2", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    cli.scratch.file("plain", "not executable");
    const wrong = await cli.call(["run", "-i", "gone", "-o", "out", "--memory", "much", "--", "./plain", "{input}"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("run has 3 faults");
    expect(wrong.stderr).toContain("--memory: expected a number of bytes");
    expect(wrong.stderr).toContain("found a file that is not executable at");
    expect(wrong.stderr).toContain('--input: expected an existing folder, glob or file, found nothing at "gone"');
    const same = await cli.call(["run", "-i", "in", "-o", "./in", "--", "cat", "{input}"]);
    expect(same).toMatchObject({ code: 2 });
    expect(same.stderr).toContain("--output: expected a folder other than the input folder");
    chmodSync(cli.scratch.file("script", "#!/no/such/interpreter -x\n"), 0o755);
    const script = await cli.call(["run", "-i", "in", "-o", "out", "--", "./script", "{input}"]);
    expect(script).toMatchObject({ code: 2 });
    expect(script.stderr).toContain("found a script whose interpreter /no/such/interpreter is not there at");
    const unmakeable = await cli.call(["run", "-i", "in", "-o", "/proc/headroom/out", "--", "cat", "{input}"]);
    expect(unmakeable).toMatchObject({ code: 2 });
    expect(unmakeable.stderr).toContain("--output: expected a folder at /proc/headroom/out that can be written");
    const blocked = await cli.call(["run", "-i", "in", "-o", "plain/out", "--", "cat", "{input}"]);
    expect(blocked).toMatchObject({ code: 2 });
    expect(await cli.call(["run", "-i", "in", "-o", "out", "cat"])).toMatchObject({ code: 2 });
    const typo = await cli.call(["run", "--ouput", "x"]);
    expect(typo.stderr).toContain("Did you mean --output?");
    expect(typo.code).toBe(2);
  });

  test("exits 3 when Redis or the store cannot be reached", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const args = ["run", "-i", "in", "-o", "out", "--", "cat", "{input}"];
    const noRedis = await cli.call(args, { env: { HEADROOM_REDIS_URL: "redis://127.0.0.1:1" } });
    expect(noRedis.code).toBe(3);
    expect(noRedis.stderr).toContain("headroom: expected redis to answer at redis://127.0.0.1:1");
    expect(noRedis.stderr).not.toContain("    at ");
    const noStore = await cli.call(args, { env: { HEADROOM_STORE_URL: "postgres://127.0.0.1:1/none" } });
    expect(noStore.code).toBe(3);
  });

  test("leaves an output folder inside the input out of the scan", async () => {
    await using cli = new Cli();
    threeFiles(cli);
    for (let round = 0; round < 2; round += 1) {
      const run = await cli.json<RunJson>(["run", "-i", "in", "-o", "in/out", "--json", "--", "cat", "{input}"]);
      expect(run.files).toMatchObject({ total: 3, succeeded: 3 });
    }
  });
});
