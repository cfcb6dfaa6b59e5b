/** A list of files on standard input as the command line takes it. */
import { mkdirSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import { Scratch } from "../../support/scratch.ts";

function openFolder() {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  /** What a run over this list would do. */
  const dry = async (list: string, cwd = scratch.path) => {
    let [stdout, stderr] = ["", ""];
    const args = ["run", "-i", "-", "-o", `${scratch.path}/out`, "--dry-run", "--json", "--", "/bin/cat", "{input}"];
    const code = await main(args, {
      stdin: Readable.from([list]),
      stdout: new Writable({ write: (chunk, _encoding, done) => (done(), (stdout += String(chunk))) }),
      stderr: new Writable({ write: (chunk, _encoding, done) => (done(), (stderr += String(chunk))) }),
      env: { PATH: process.env["PATH"], HEADROOM_HOME: `${scratch.path}/home` },
      cwd,
    });
    return { code, stdout, stderr };
  };
  return { scratch, dry };
}

test("in a folder whose path is not UTF-8 a list of absolute names is taken, and the first relative one refused", async () => {
  const { scratch, dry } = openFolder();
  const folder = Buffer.concat([Buffer.from(`${scratch.path}/caf`), Buffer.of(0xe9)]);
  mkdirSync(folder);
  // As Node tells it.
  const cwd = folder.toString();
  const [a, b] = [scratch.file("in/a", "a"), scratch.file("caf\ufffd.txt", "b")];
  const taken = await dry(`${a}\n\n${b}\n`, cwd);
  expect(taken).toMatchObject({ code: 0, stderr: "" });
  const { commands } = JSON.parse(taken.stdout) as { commands: { input: string }[] };
  expect(commands.map(({ input }) => input)).toEqual([a, b]);

  const refused = await dry(`${a}\n\nin/b\nin/c\n`, cwd);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain(
    "list entry 2: expected an absolute path, for the path of the current folder is not UTF-8, found in/b",
  );
  expect(refused.stderr).not.toContain("in/c");
});

test("names that stand in a list more than once count once, and are told with their places", async () => {
  const { scratch, dry } = openFolder();
  for (const name of ["a", "b"]) scratch.file(`in/${name}`, name);
  const twice = await dry(`in/a\nin/b\n./in//a\n${scratch.path}/in/a\n`);
  expect(twice.code).toBe(0);
  expect(JSON.parse(twice.stdout)).toMatchObject({ files: 2, problems: { count: 0 } });
  expect(twice.stderr).toBe(
    "headroom: 2 entries of the list name files that an earlier one names, and each file counts once: in/a (entries 1 and 3), in/a (entries 1 and 4)\n",
  );
  expect((await dry("in/a\nin/a\n")).stderr).toBe(
    "headroom: 1 entry of the list names a file that an earlier one names, and each file counts once: in/a (entries 1 and 2)\n",
  );
  expect((await dry("in/a\nin/b\n")).stderr).toBe("");
});
