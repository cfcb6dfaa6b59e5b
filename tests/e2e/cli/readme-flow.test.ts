/** The commands of the README's section on flows, run as they stand there, by a shell (`eval` has a test of its own). */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { Cli } from "./cli-process.ts";

const here = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const run = promisify(execFile);

/** The shell blocks of a section of the README, in order. */
function blocksOf(section: string): string[] {
  const text = readFileSync(here("README.md"), "utf8");
  const from = text.indexOf(`\n## ${section}\n`);
  const part = text.slice(from, text.indexOf("\n## ", from + 1));
  return [...part.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block);
}

test("writes a flow of three nodes, sees it drawn, runs it, breaks a node, mends it and resumes; then a goal", async () => {
  const cli = new Cli();
  onTestFinished(() => cli[Symbol.asyncDispose]());
  /** What a block prints; each of its commands in turn, whether the one before it succeeded or not. */
  const shell = async (block: string, answer = ""): Promise<string> => {
    const text = `npx() { shift; node ${here("bin/headroom.js")} "$@" 2>&1; echo "exit $?"; }\n${block.replaceAll("/tmp/", `${cli.scratch.path}/`)}`;
    cli.scratch.file("block.sh", text);
    const file = `${cli.scratch.path}/block.sh`;
    // A terminal, as a person has one: without it nothing asks.
    const command = answer === "" ? `bash ${file}` : `echo ${answer} | script -qec 'bash ${file}' /dev/null`;
    const env = { ...process.env, HEADROOM_HOME: cli.home, NO_COLOR: "1" };
    return (await run("bash", ["-c", command], { cwd: here("."), env })).stdout;
  };
  const [write = "", mend = "", larger = "", goal = ""] = blocksOf("A flow");

  const written = await shell(write);
  expect(written).toContain("licences: 3 nodes, 3 deep, 1 wide");
  expect(written).toContain("✓ 3 nodes succeeded");

  const [broken = "", resume = ""] = mend.split(/^(?=sed -i 's\/--lions)/m);
  const failed = await shell(broken);
  expect(failed).toContain("✗ 1 of 3 nodes failed");
  expect(failed).toContain("exit 1");
  const id = /^ {2}run +(\S+)/m.exec(failed)?.[1] ?? "none";
  const resumed = await shell(resume.replace("RUN", id));
  expect(resumed).toMatch(/exit 0\n$/);
  expect(resumed).toContain("1 file unchanged since the last time");

  expect(await shell(larger)).toMatch(/exit 0\n[^]*exit 0\n$/);

  const planned = await shell(goal.replace("npx headroom eval\n", ""), "y");
  expect(planned).toContain("allow.binaries");
  expect(planned).toContain("exit 0");
});
