/** Ctrl-C in the middle of a run, and in the middle of its resumption: what is there is whole, and the rest follows. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PATIENT } from "../../support/fault-cluster.ts";
import { Cli } from "../cli/cli-process.ts";

const FILES = 200;

test("a run that is interrupted twice ends whole, and runs no finished file again", async () => {
  await using cli = new Cli();
  const golden = new Map<string, string>();
  for (let at = 0; at < FILES; at += 1) {
    const content = `content ${at}\n`;
    cli.scratch.file(`in/file-${at}`, content);
    golden.set(`file-${at}.output`, `${createHash("sha256").update(content).digest("hex")}  -\n`);
  }
  const output = join(cli.scratch.path, "out");
  const log = join(cli.scratch.path, "ended.log");
  const outputs = () => (existsSync(output) ? readdirSync(output) : []);
  const whole = () => outputs().filter((name) => !name.startsWith("."));
  const script = `sleep 0.02; sha256sum < "$1" && echo "$1" >> ${log}`;
  let args = ["run", "-i", "in", "-o", "out", "--max-processes", "2", "--", "sh", "-c", script, "job", "{input}"];
  for (const mark of [30, 100]) {
    const running = cli.start(args);
    await expect.poll(() => whole().length, PATIENT).toBeGreaterThan(mark);
    running.child.kill("SIGINT");
    const { code, stderr } = await running.ended;
    expect(code, stderr).toBe(130);
    expect(whole(), "no temporary files").toEqual(outputs());
    for (const name of whole()) expect(readFileSync(join(output, name), "utf8")).toBe(golden.get(name));
    expect(whole().length).toBeLessThan(FILES);
    args = ["run", "--resume", /--resume (\w+)/.exec(stderr)?.[1] ?? "none"];
  }
  const last = await cli.call(args);
  expect(last.code, last.stderr).toBe(0);
  expect(outputs().sort()).toEqual([...golden.keys()].sort());
  for (const [name, content] of golden) expect(readFileSync(join(output, name), "utf8")).toBe(content);
  const ends = readFileSync(log, "utf8").trim().split("\n");
  // Two interrupts, two processes each: those may have ended in the moment they were told to.
  expect(ends.length).toBeLessThanOrEqual(FILES + 4);
});
