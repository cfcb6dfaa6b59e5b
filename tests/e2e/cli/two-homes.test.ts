/** Two data folders, so two Redis servers and two stores that know nothing of each other, over one output folder. */
import { existsSync, readdirSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CLAIM_STALE_MS } from "../../../src/platform/output-claim.ts";
import { Cli, type Running } from "./cli-process.ts";

const PATIENT = { timeout: 60_000 };

interface RunJson {
  readonly id: string;
  readonly state: string;
  readonly files: Record<string, number>;
  readonly failures: { failureClass: string; message: string; examples: string[] }[];
}

/** Starts a run that writes its outputs when the file `go` is there; resolves once its first process runs. */
async function startSlow(cli: Cli, output = "out"): Promise<Running> {
  const go = join(cli.scratch.path, "go");
  const script = `touch "${cli.scratch.path}/started"; while [ ! -e '${go}' ]; do sleep 0.05; done; cat "$0"`;
  const running = cli.start(["run", "-i", "in", "-o", output, "--json", "--", "sh", "-c", script, "{input}"]);
  await expect.poll(() => existsSync(join(cli.scratch.path, "started")), PATIENT).toBe(true);
  return running;
}

describe("two data folders over one output folder", () => {
  test("refuse each other, also from above and below, and the folder is clean at the end", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const other = { env: { HEADROOM_HOME: join(cli.scratch.path, "other") } };
    const first = await startSlow(cli);
    for (const output of ["out", "out/sub/deeper"]) {
      const second = await cli.call(["run", "-i", "in", "-o", output, "--", "cat", "{input}"], other);
      expect(second).toMatchObject({ code: 2, stdout: "" });
      expect(second.stderr).toMatch(/expected no other run to write there, found run \w+.* of another cluster/);
    }
    cli.scratch.file("go", "");
    expect(JSON.parse((await first.ended).stdout)).toMatchObject({ state: "succeeded" });
    expect(readdirSync(join(cli.scratch.path, "out")).sort()).toEqual(["a.txt.output", "sub"]);
    const third = await cli.call(["run", "-i", "in", "-o", "out", "--", "cat", "{input}"], other);
    expect(third).toMatchObject({ code: 0 });
  });

  test("a run that was killed gives the folder free, and is not gone on with while another one has it", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    const other = { env: { HEADROOM_HOME: join(cli.scratch.path, "other") } };
    const killed = await startSlow(cli);
    killed.child.kill("SIGKILL");
    await killed.ended;
    const [left] = await cli.json<{ id: string }[]>(["runs", "--json"]);
    const id = left?.id ?? "";
    const claim = join(cli.scratch.path, "out/.headroom-claims", id);
    const refused = await cli.call(["run", "-i", "in", "-o", "out", "--", "cat", "{input}"], other);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain(`found run ${id} of another cluster or data folder`);
    const seconds = (Date.now() - CLAIM_STALE_MS - 1_000) / 1_000;
    utimesSync(claim, seconds, seconds);
    const script = `touch "$0.seen"; while [ ! -e "$0.end" ]; do sleep 0.05; done; echo other`;
    const taker = cli.start(
      ["run", "-i", "in", "-o", "out", "--exclude", "*.*.*", "--", "sh", "-c", script, "{input}"],
      other,
    );
    await expect.poll(() => existsSync(join(cli.scratch.path, "in/a.txt.seen")), PATIENT).toBe(true);
    expect(existsSync(claim)).toBe(false);
    cli.scratch.file("go", "");
    const early = await cli.call(["run", "--resume", id]);
    expect(early).toMatchObject({ code: 2 });
    expect(early.stderr).toContain("expected no other run to write there");
    cli.scratch.file("in/a.txt.end", "");
    expect(await taker.ended).toMatchObject({ code: 0 });
    expect(await cli.json(["run", "--resume", id, "--json"])).toMatchObject({ state: "succeeded" });
    expect(readFileSync(join(cli.scratch.path, "out/a.txt.output"), "utf8")).toBe("a");
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual(["a.txt.output"]);
  });

  test("a run above another one's folder is kept out of that folder, and the rest of it goes on", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", "a");
    cli.scratch.file("in/sub/b.txt", "b");
    const other = { env: { HEADROOM_HOME: join(cli.scratch.path, "other") } };
    const inner = await startSlow(cli, "out/sub");
    const args = ["run", "-i", "in", "-o", "out", "--json", "--", "cat", "{input}"];
    const outer = JSON.parse((await cli.call(args, other)).stdout) as RunJson;
    expect(outer).toMatchObject({ state: "failed", files: { total: 2, succeeded: 1, failed: 1 } });
    expect(outer.failures).toMatchObject([{ failureClass: "policy", examples: ["sub/b.txt"] }]);
    expect(outer.failures[0]?.message).toContain("expected a folder that no other run writes to");
    cli.scratch.file("go", "");
    expect(JSON.parse((await inner.ended).stdout)).toMatchObject({ state: "succeeded" });
    const again = { env: { HEADROOM_HOME: join(cli.scratch.path, "other") } };
    expect(await cli.json(["run", "--resume", outer.id, "--json"], again)).toMatchObject({ state: "succeeded" });
  });
});
