/** Runs of a data folder whose only process was killed: nobody is there any more who would do anything about them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Cli, type Running } from "./cli-process.ts";

interface Listed {
  readonly id: string;
  readonly output: string;
}

function start(cli: Cli, output: string): Running {
  const started = join(cli.scratch.path, `${output}.started`);
  const script = `touch '${started}'; while [ ! -e '${cli.scratch.path}/go' ]; do sleep 0.05; done; cat "$0"`;
  return cli.start(["run", "-i", "in", "-o", output, "--", "sh", "-c", script, "{input}"]);
}

async function hasStarted(cli: Cli, output: string): Promise<void> {
  const started = join(cli.scratch.path, `${output}.started`);
  await expect.poll(() => existsSync(started), { timeout: 60_000 }).toBe(true);
}

async function kill(running: Running): Promise<void> {
  running.child.kill("SIGKILL");
  await running.ended;
}

async function idOf(cli: Cli, output: string): Promise<string | undefined> {
  const runs = await cli.json<Listed[]>(["runs", "--json"]);
  return runs.find((run) => run.output.endsWith(`/${output}`))?.id;
}

describe("a run whose process was killed", () => {
  test("says that no worker is there and what to do, and is ended by cancel alone", async () => {
    await using cli = new Cli();
    for (let at = 0; at < 9; at += 1) cli.scratch.file(`in/${at}`, String(at));
    const killed = start(cli, "out");
    await hasStarted(cli, "out");
    await kill(killed);
    const id = (await idOf(cli, "out")) ?? "";
    const advice = `no worker is alive; to go on with the run: headroom run --resume ${id}; to end it: headroom cancel ${id}`;
    expect((await cli.call(["explain", id])).stdout).toContain(advice);
    expect((await cli.call(["status", id])).stdout).toContain(advice);
    const cancelled = await cli.call(["cancel", id, "--reason", "wrong folder"]);
    expect(cancelled).toMatchObject({ code: 0 });
    expect(cancelled.stdout).toContain("wrong folder");
    const report = readFileSync(join(cli.home, "runs", id, "report.md"), "utf8");
    expect(report).toContain("cancelled");
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual([]);
    const status = await cli.json<{ state: string; files: object; message: string }>(["status", id, "--json"]);
    expect(status).toMatchObject({ state: "cancelled", message: "wrong folder", files: { succeeded: 0, failed: 0 } });
    expect(await cli.json(["status", "--json"])).toMatchObject({ waitingJobs: 0, runs: [], workers: [] });
    cli.scratch.file("go", "");
    const again = await cli.json(["run", "--resume", id, "--json"]);
    expect(again).toMatchObject({ state: "succeeded", files: { total: 9, succeeded: 9 } });
  });

  test("is ended while another one, killed as well, keeps its jobs and is gone on with later", async () => {
    await using cli = new Cli();
    for (let at = 0; at < 4; at += 1) cli.scratch.file(`in/${at}`, String(at));
    const working = start(cli, "first");
    await hasStarted(cli, "first");
    const following = start(cli, "second");
    await expect.poll(() => idOf(cli, "second"), { timeout: 60_000 }).toBeDefined();
    await kill(following);
    await kill(working);
    const [first = "", second = ""] = [await idOf(cli, "first"), await idOf(cli, "second")];
    expect(await cli.json(["cancel", first, "--json"])).toMatchObject({ state: "cancelled", acknowledged: true });
    expect(await cli.json(["status", second, "--json"])).toMatchObject({ message: null });
    cli.scratch.file("go", "");
    expect(await cli.json(["run", "--resume", second, "--json"])).toMatchObject({
      state: "succeeded",
      files: { total: 4, succeeded: 4 },
    });
    expect(await cli.json(["cancel", first, "--json"])).toMatchObject({ state: "cancelled" });
  });
});
