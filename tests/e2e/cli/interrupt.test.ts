import { closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

const slowly = ["sh", "-c", 'touch "$0.started" && sleep 60 && cat "$0"', "{input}"];

describe("headroom run, interrupted", () => {
  test("ends its processes, says how to go on and exits 130", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const running = cli.start(["run", "-i", "in", "-o", "out", "--", ...slowly]);
    await expect.poll(() => existsSync(join(cli.scratch.path, "in/a.txt.started")), { timeout: 30_000 }).toBe(true);
    running.child.kill("SIGINT");
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    expect(ended.stderr).toContain("cancelling; press Ctrl-C again");
    expect(ended.stderr).toMatch(/headroom run --resume \w+/);
    expect(ended.stdout).toContain("run cancelled");
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual([]);
    const runs = await cli.json<{ state: string }[]>(["runs", "--json"]);
    expect(runs).toMatchObject([{ state: "cancelled" }]);
  });

  test("leaves at once at the second Ctrl-C, and ends the processes of its jobs even so", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const pid = join(cli.scratch.path, "pid");
    const script = `trap "" TERM; echo $$ > '${pid}.new'; mv '${pid}.new' '${pid}'; while :; do sleep 1; done`;
    const running = cli.start(["run", "-i", "in", "-o", "out", "--", "sh", "-c", script]);
    await expect.poll(() => existsSync(pid), { timeout: 30_000 }).toBe(true);
    running.child.kill("SIGINT");
    await expect.poll(() => running.stderr(), { timeout: 10_000 }).toContain("press Ctrl-C again");
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    await expect.poll(() => existsSync(`/proc/${readFileSync(pid, "utf8").trim()}`), { timeout: 10_000 }).toBe(false);
    // Redis removes it as the last thing that it does.
    await expect.poll(() => existsSync(join(cli.home, "redis", "redis.pid")), { timeout: 10_000 }).toBe(false);
    const [left] = await cli.json<{ id: string }[]>(["runs", "--json"]);
    expect(await cli.json(["run", "--resume", left?.id ?? "", "--json"])).toMatchObject({ state: "cancelled" });
    const args = ["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"];
    expect(await cli.json(args)).toMatchObject({ state: "succeeded", files: { total: 1, succeeded: 1 } });
  });

  test("goes on with a run whose process was killed", async () => {
    await using cli = new Cli();
    for (const name of ["a", "b", "c"]) cli.scratch.file(`in/${name}`, name);
    const go = join(cli.scratch.path, "go");
    const script = `touch "$0.started"; while [ ! -e '${go}' ]; do sleep 0.05; done; cat "$0"`;
    const args = ["-i", "in", "-o", "out", "--exclude", "*.started"];
    const killed = cli.start(["run", ...args, "--", "sh", "-c", script, "{input}"]);
    const started = () => readdirSync(join(cli.scratch.path, "in")).filter((name) => name.endsWith(".started"));
    await expect.poll(() => started().length, { timeout: 30_000 }).toBeGreaterThan(0);
    killed.child.kill("SIGKILL");
    await killed.ended;
    const [left] = await cli.json<{ id: string; state: string }[]>(["runs", "--json"]);
    expect(left).toMatchObject({ state: "running" });
    const other = await cli.call(["run", ...args, "--", "cat", "{input}"]);
    expect(other.stderr).toContain(`found run ${left?.id ?? ""}; wait for it, resume it`);
    cli.scratch.file("go", "");
    const resumed = await cli.json(["run", "--resume", left?.id ?? "", "--json"]);
    expect(resumed).toMatchObject({ id: left?.id, state: "succeeded", files: { total: 3, succeeded: 3 } });
    expect(readdirSync(join(cli.scratch.path, "out")).sort()).toEqual(["a.output", "b.output", "c.output"]);
  });

  test("refuses a second run over the same output folder while the first goes on", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const running = cli.start(["run", "-i", "in", "-o", "out", "--", ...slowly]);
    await expect.poll(() => existsSync(join(cli.scratch.path, "in/a.txt.started")), { timeout: 30_000 }).toBe(true);
    const second = await cli.call(["run", "-i", "in", "-o", "out", "--", "cat", "{input}"]);
    expect(second.code).toBe(2);
    expect(second.stderr).toContain("expected no other run to write there");
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    const third = await cli.call(["run", "-i", "in", "-o", "out", "--exclude", "*.started", "--", "cat", "{input}"]);
    expect(third.code).toBe(0);
  });
});

describe("headroom, printing to where nobody reads or nothing fits", () => {
  test("goes on with its run when the readers of its progress and its report have gone", async () => {
    await using cli = new Cli();
    for (const name of ["a", "b", "c"]) cli.scratch.file(`in/${name}`, name);
    const go = join(cli.scratch.path, "go");
    const script = `touch "$0.started"; while [ ! -e '${go}' ]; do sleep 0.05; done; cat "$0"`;
    const args = ["-i", "in", "-o", "out", "--exclude", "*.started", "--", "sh", "-c", script, "{input}"];
    const running = cli.start(["run", ...args]);
    const started = () => readdirSync(join(cli.scratch.path, "in")).filter((name) => name.endsWith(".started"));
    await expect.poll(() => started().length, { timeout: 30_000 }).toBeGreaterThan(0);
    running.child.stdout?.destroy();
    running.child.stderr?.destroy();
    cli.scratch.file("go", "");
    expect((await running.ended).code).toBe(0);
    expect(readdirSync(join(cli.scratch.path, "out")).sort()).toEqual(["a.output", "b.output", "c.output"]);
    expect(await cli.json(["runs", "--json"])).toMatchObject([{ state: "succeeded" }]);
  });

  test("says that its output did not fit, with exit code 3, and keeps what the run says of itself", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a", "a");
    const full = openSync("/dev/full", "w");
    const onFull = (args: readonly string[]) => cli.call(args, { stdout: full });
    const fit = "headroom: standard output: expected room for all that is printed, found: ENOSPC";
    const ran = await onFull(["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"]);
    expect(ran).toMatchObject({ code: 3, stderr: expect.stringContaining(fit) as string });
    const [run] = await cli.json<{ id: string; state: string }[]>(["runs", "--json"]);
    expect(run).toMatchObject({ state: "succeeded" });
    for (const args of [["runs"], ["export", run?.id ?? ""], ["--help"]]) {
      expect(await onFull(args)).toMatchObject({ code: 3, stderr: expect.stringContaining(fit) as string });
    }
    const failed = await onFull(["run", "-i", "in", "-o", "out2", "--attempts", "1", "--", "false"]);
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining(fit) as string });
    closeSync(full);
  });
});
