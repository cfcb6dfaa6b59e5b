/** The rules of inputs over files that are named: in a list on standard input, and one alone. */
import { readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Cli } from "./cli-process.ts";

interface RunJson {
  readonly id: string;
  readonly files: Record<string, number>;
  readonly failures: { message: string; examples: string[] }[];
}

interface DryRunJson {
  readonly files: number;
  readonly problems: { count: number };
}

const list = { stdin: "in/a\nin/b\nin/.c\nin/link\n" };

function filesAndLink(cli: Cli): void {
  for (const name of ["a", "b", ".c"]) cli.scratch.file(`in/${name}`, name);
  symlinkSync("a", join(cli.scratch.path, "in/link"));
}

test("a list is run without what its rules leave out, as a dry run says, and resumed with other ones", async () => {
  await using cli = new Cli();
  filesAndLink(cli);
  const rules = ["--exclude", "**/b", "--symlinks", "refuse"];
  const args = ["run", "-i", "-", "-o", "out", "--json", ...rules];
  const command = ["--", "cat", "{input}"];
  const dry = await cli.json<DryRunJson>([...args, "--dry-run", ...command], list);
  expect(dry).toMatchObject({ files: 2, problems: { count: 1 } });
  const run = await cli.json<RunJson>([...args, ...command], list);
  expect(run.files).toMatchObject({ total: 3, succeeded: 2, failed: 1 });
  expect(run.failures).toMatchObject([{ message: "expected no symbolic link", examples: ["in/link"] }]);
  const outputs = () => readdirSync(join(cli.scratch.path, "out/in")).toSorted();
  expect(outputs()).toEqual([".c.output", "a.output"]);

  const resume = ["run", "--resume", run.id, "--exclude", "**/a", "--symlinks", "skip", "--json"];
  expect((await cli.json<RunJson>(resume)).files).toMatchObject({ total: 3, succeeded: 2, skipped: 1 });
  expect(outputs()).toContain("b.output");
});

test("a single file that its rules leave out makes a run of no files, which is told", async () => {
  await using cli = new Cli();
  filesAndLink(cli);
  const args = ["run", "-i", "in/a", "-o", "out", "--include", "*.x", "--hidden"];
  for (const dryRun of [["--dry-run"], []]) {
    const { code, stderr } = await cli.call([...args, ...dryRun, "--", "cat", "{input}"]);
    expect(code).toBe(0);
    expect(stderr).toContain("--hidden: no effect here, files that are named are taken whether they are hidden or not");
    expect(stderr).toContain(`found no file among those named below ${cli.scratch.path}/in that matches *.x`);
  }
  expect(readdirSync(join(cli.scratch.path, "out"))).toEqual([]);
});
