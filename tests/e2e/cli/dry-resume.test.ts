/** What `--dry-run --resume` tells, against what the resume behind it does. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { startRedis } from "../../support/redis-server.ts";
import { Cli } from "./cli-process.ts";

interface RunJson {
  readonly id: string;
  readonly files: Record<string, number>;
}

interface DryRunJson {
  readonly files: number;
  readonly commands: readonly { readonly input: string; readonly output: string }[];
  readonly problems: { readonly count: number };
  readonly resume: Record<string, number | string>;
}

function openCli(): Cli {
  const cli = new Cli();
  onTestFinished(() => cli[Symbol.asyncDispose]());
  return cli;
}

/** Fails on a file that says so, and writes down each file that it is started for. */
const tool = ["--", "sh", "-c", 'echo "$1" >> "$2" && ! grep -q bad "$1" && cat "$1"', "sh", "{input}"];

/** The files for which the command was started since the last call, by their names. */
function startedIn(log: string): () => string[] {
  return () => {
    const lines = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
    rmSync(log, { force: true });
    return lines.map((line) => line.slice(line.lastIndexOf("/") + 1)).toSorted();
  };
}

const namesOf = ({ commands }: DryRunJson): string[] =>
  commands.map(({ input }) => input.slice(input.lastIndexOf("/") + 1)).toSorted();

test("tells what a resume then does, of a list with files added, changed, mended, removed and in another order", async () => {
  const cli = openCli();
  const log = join(cli.scratch.path, "started.log");
  const started = startedIn(log);
  const write = (name: string, text = name) => cli.scratch.file(`in/${name}`, text);
  for (const name of ["a", "b", "c", "d"]) write(name);
  write("e", "bad");
  write("f", "bad");
  const listOf = (...names: readonly string[]) => ({ stdin: names.map((name) => `in/${name}\n`).join("") });
  const naming = ["-o", "out", "--name", "{index}-{name}", "--attempts", "1", "--json"];
  const first = await cli.json<RunJson>(
    ["run", "-i", "-", ...naming, ...tool, log],
    listOf("a", "b", "c", "d", "e", "f"),
  );
  expect(first.files).toMatchObject({ succeeded: 4, failed: 2 });
  started();

  write("new");
  write("b", "changed");
  write("e", "mended");
  const list = listOf("new", "f", "e", "gone", "c", "b", "a");
  const resume = ["run", "--resume", first.id, "-i", "-", "--json"];
  const dry = await cli.json<DryRunJson>([...resume, "--dry-run"], list);
  expect(dry).toMatchObject({ dryRun: true, files: 4, output: join(cli.scratch.path, "out"), problems: { count: 1 } });
  expect(dry.resume).toEqual(
    { run: first.id, reused: 2, new: 1, changed: 1, failedBefore: 2, cancelledBefore: 0 }, //
  );
  expect(started()).toEqual([]);
  const real = await cli.json<RunJson>(resume, list);
  expect(started()).toEqual(namesOf(dry));
  expect(real.files).toMatchObject({ total: 7, succeeded: 5, failed: 2 });
  // Numbers that were given are kept, so a dry run tells the very names of the outputs.
  for (const { input, output } of dry.commands) if (!input.endsWith("/f")) expect(existsSync(output)).toBe(true);

  const again = await cli.json<DryRunJson>(["run", "--resume", first.id, "--dry-run", "--json"]);
  expect([again.files, again.resume["reused"], namesOf(again)]).toEqual([1, 5, ["f"]]);
});

test("tells what a resume then does, of a folder, an output that is gone, and another command", async () => {
  const cli = openCli();
  const log = join(cli.scratch.path, "started.log");
  const started = startedIn(log);
  for (const name of ["a", "b", "c"]) cli.scratch.file(`in/${name}`, name);
  const first = await cli.json<RunJson>(["run", "-i", "in", "-o", "out", "--json", ...tool, log]);
  started();
  rmSync(join(cli.scratch.path, "out/a.output"));
  rmSync(join(cli.scratch.path, "in/c"));
  const resume = ["run", "--resume", first.id];
  const text = await cli.call([...resume, "--dry-run"]);
  expect(text).toMatchObject({ code: 0, stderr: "" });
  expect(text.stdout).toContain("1 file would run, 1 B; nothing was started\n");
  expect(text.stdout).toContain(
    `  resume   ${first.id}: 1 file reused; those that would run: 0 new, 1 changed, 0 failed before\n`,
  );
  await cli.call(resume);
  expect(started()).toEqual(["a"]);

  const other = ["--json", "--", "cp", "{input}", "{output}"];
  const dry = await cli.json<DryRunJson>([...resume, "--dry-run", ...other]);
  expect(dry.resume).toMatchObject({ reused: 0, changed: 2 });
  expect((await cli.json<RunJson>([...resume, ...other])).files).toMatchObject({ succeeded: 2 });
  const then = await cli.json<DryRunJson>([...resume, "--dry-run", "--json"]);
  expect([then.files, then.resume["reused"]]).toEqual([0, 2]);
});

/** Every file below a folder that is no log, with its size. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith("logs"))
    .map((name) => `${name} ${statSync(join(folder, name)).size}`)
    .toSorted();
}

test("leaves nothing behind: no key, no row, no run folder, no output folder", async () => {
  await using redis = await startRedis();
  const cli = openCli();
  const env = { HEADROOM_REDIS_URL: redis.url };
  const worker = cli.start(["worker"], { env });
  cli.scratch.file("in/a", "a");
  const args = ["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"];
  const { id } = await cli.json<RunJson>(args, { env });
  worker.child.kill("SIGTERM");
  await worker.ended;
  cli.scratch.file("in/b", "b");
  const client = new Redis(redis.url);
  onTestFinished(() => {
    client.disconnect();
  });
  const seen = async () => ({
    keys: (await client.keys("*")).toSorted(),
    status: (await cli.call(["status", id, "--json"], { env })).stdout,
    files: filesBelow(join(cli.home, "runs")),
  });
  const before = await seen();
  const resume = ["run", "--resume", id, "-o", "elsewhere", "--dry-run", "--json"];
  expect((await cli.json<DryRunJson>(resume, { env })).files).toBe(2);
  expect(await seen()).toEqual(before);
  expect(existsSync(join(cli.scratch.path, "elsewhere"))).toBe(false);
});

test("refuses a call over many files, whose inputs are put together as it runs, and a run that is not there", async () => {
  const cli = openCli();
  cli.scratch.file("in/a", "a");
  const { id } = await cli.json<RunJson>(["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{inputs}"]);
  const joined = await cli.call(["run", "--resume", id, "--dry-run"]);
  expect(joined.code).toBe(2);
  expect(joined.stderr).toContain("--dry-run: expected --resume of a run that takes one file per call");
  expect((await cli.call(["run", "--resume", "none", "--dry-run"])).stderr).toContain("none");
});
