import { chmodSync, existsSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import { exampleConfig } from "../../../src/platform/config-text.ts";
import { Scratch } from "../../support/scratch.ts";

/** The command line in this process, in a folder of its own. */
function openCommandLine() {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  const call = async (...argv: string[]) => {
    let [stdout, stderr] = ["", ""];
    const code = await main(argv, {
      stdin: Readable.from([]),
      stdout: new Writable({ write: (chunk, _encoding, done) => (done(), (stdout += String(chunk))) }),
      stderr: new Writable({ write: (chunk, _encoding, done) => (done(), (stderr += String(chunk))) }),
      env: { PATH: process.env["PATH"], HEADROOM_HOME: `${scratch.path}/home` },
      cwd: scratch.path,
    });
    return { code, stdout, stderr };
  };
  return { scratch, call };
}

describe("headroom config validate --json", () => {
  test("prints an object for a valid and for an invalid file", async () => {
    const { scratch, call } = openCommandLine();
    scratch.file("good.yaml", "");
    const good = await call("config", "validate", "good.yaml", "--json");
    expect([good.code, JSON.parse(good.stdout)]).toEqual([0, { file: "good.yaml", valid: true, faults: [] }]);
    scratch.file("bad.yaml", "resources:\n  max_processes: many\nwat:\n  a: 1\n");
    const bad = await call("config", "validate", "bad.yaml", "--json");
    expect(bad).toMatchObject({ code: 2, stderr: "" });
    expect(JSON.parse(bad.stdout)).toEqual({
      file: "bad.yaml",
      valid: false,
      faults: [
        { where: "resources.max_processes (line 2)", expected: "a number", found: '"many"' },
        {
          where: "wat (line 3)",
          expected: expect.stringContaining("one of binary") as string,
          found: 'the unknown key "wat"',
        },
      ],
    });
    const missing = await call("config", "validate", "none.yaml", "--json");
    expect(missing.code).toBe(2);
    expect(JSON.parse(missing.stdout)).toMatchObject({ valid: false, faults: [{ where: "--config" }] });
  });
});

describe("headroom config init --json", () => {
  test("prints where it wrote, and the text where it wrote nothing", async () => {
    const { scratch, call } = openCommandLine();
    const made = await call("config", "init", "own.yaml", "--json");
    expect([made.code, JSON.parse(made.stdout)]).toEqual([0, { file: `${scratch.path}/own.yaml` }]);
    const shown = await call("config", "init", "-", "--json");
    expect(JSON.parse(shown.stdout)).toEqual({ text: exampleConfig });
  });
});

describe("the processes of a cluster", () => {
  test.each([
    ["board", "--port"],
    ["producer", "--port"],
    ["worker", "--ops-port"],
    ["scheduler", "--ops-port"],
    ["up", "--board-port"],
    ["up", "--intake-port"],
  ])("%s %s 99999 is refused before anything is started", async (name, option) => {
    const { scratch, call } = openCommandLine();
    const ended = await call(name, option, "99999");
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(`${option}: expected a port from 0 to 65535, found "99999"`);
    expect(existsSync(`${scratch.path}/home`)).toBe(false);
  });
});

describe("headroom run", () => {
  const dry = ["run", "-i", "in", "-o", "out", "--dry-run"];

  test("refuses what the configuration of the machine does not allow, before it makes the output folder", async () => {
    const { scratch, call } = openCommandLine();
    scratch.file("in/a", "alpha");
    const allow = { binaries: ["/opt/tool"], read: [`${scratch.path}/other`], write: [`${scratch.path}/out`] };
    scratch.file("allow.yaml", JSON.stringify({ allow }));
    const rest = ["-i", "in", "-o", "elsewhere", "-c", "allow.yaml", "-e", "A=b", "--", process.execPath, "{input}"];
    for (const dryRun of [["--dry-run"], []]) {
      const { code, stderr } = await call("run", ...dryRun, ...rest);
      expect(code).toBe(2);
      expect(stderr).toContain("the run asks for 4 things that are not allowed here");
      expect(stderr).toContain("command: expected a binary that allow.binaries names (/opt/tool), found");
      expect(stderr).toContain(`--input: expected a folder inside one of allow.read (${scratch.path}/other), found`);
      expect(stderr).toContain("--output: expected a folder inside one of allow.write");
      expect(stderr).toContain("env.A: expected a variable that allow.env names (it names none)");
    }
    expect(existsSync(`${scratch.path}/elsewhere`)).toBe(false);
  });

  test("tells what is wrong with places, paths and options in one go", async () => {
    const { call } = openCommandLine();
    const paths = ["-i", "nope", "-o", "out", "--", "no-such-binary", "{inpt}"];
    const ended = await call("run", "--redis", "here", "--store", "there", ...paths);
    expect(ended.code).toBe(2);
    expect(ended.stderr.split("\n")).toEqual([
      "headroom: command line has 5 faults",
      "  command: expected {input}, or {{inpt} for these words as they stand, found {inpt}, and no placeholder",
      expect.stringMatching(/^ {2}redis: expected redis:.*found "here"$/),
      expect.stringMatching(/^ {2}store: expected sqlite:.*found no scheme$/),
      expect.stringMatching(/^ {2}command: expected "no-such-binary" to be an executable file/),
      '  --input: expected an existing folder, glob or file, found nothing at "nope"',
      "",
    ]);
    const faulty = await call("run", "-j", "many", "--redis", "here", ...paths);
    expect(faulty.stderr).toContain("headroom: command line has 5 faults\n  --max-processes: expected a number");
    expect(faulty.stderr).toContain('--input: expected an existing folder, glob or file, found nothing at "nope"');
  });

  test("says that the folder of a new configuration file is not there", async () => {
    const { call, scratch } = openCommandLine();
    const ended = await call("config", "init", "nope/x.yaml");
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toContain(
      `file: expected a name in a folder that is there and may be written, found no folder ${scratch.path}/nope`,
    );
  });

  test("tells the faults of all options together", async () => {
    const { scratch, call } = openCommandLine();
    scratch.file("in/a");
    const ended = await call(
      ...dry,
      "--memory",
      "lots",
      "--timeout",
      "soon",
      "--priority",
      "-3",
      "--",
      "cat",
      "{input}",
    );
    expect(ended.code).toBe(2);
    expect(ended.stderr.match(/^ {2}--[a-z]+: expected .*, found /gm)).toHaveLength(3);
    expect(ended.stderr).toContain("headroom: command line has 3 faults\n");
    const quote = await call(...dry, "--check", "test 'x", "--", "cat", "{input}");
    expect(quote).toMatchObject({ code: 2, stderr: `headroom: --check: expected ' to be closed, found "test 'x"\n` });
  });

  test("finds the binary of a check on the PATH, and refuses one that is not there", async () => {
    const { scratch, call } = openCommandLine();
    scratch.file("in/a");
    expect(await call(...dry, "--check", "test -s {output}", "--", "cat", "{input}")).toMatchObject({ code: 0 });
    const missing = await call(...dry, "--check", "no-such-check {output}", "--", "cat", "{input}");
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain('--check: expected "no-such-check" to be an executable file on the PATH');
  });

  test("takes the checks of the example configuration, and scripts beside the file", async () => {
    const { scratch, call } = openCommandLine();
    scratch.file("input/a");
    scratch.file("conf/all.yaml", exampleConfig.replace('# check: ["test"', 'check: ["test"'));
    const run = ["run", "-i", "input", "-o", "out", "--dry-run"];
    expect(await call(...run, "-c", "conf/all.yaml")).toMatchObject({ code: 0 });
    scratch.file("conf/own.yaml", "binary: {path: cat, flags: ['{input}']}\ninput: {check: [./look.sh, '{input}']}\n");
    expect((await call(...run, "-c", "conf/own.yaml")).stderr).toContain(
      `input.check: expected an executable file, found nothing at ${scratch.path}/conf/look.sh`,
    );
    chmodSync(scratch.file("conf/look.sh", "#!/bin/sh\n"), 0o755);
    expect(await call(...run, "-c", "conf/own.yaml")).toMatchObject({ code: 0 });
  });

  test("refuses a second input or output, and options of flows beside files", async () => {
    const { scratch, call } = openCommandLine();
    scratch.folder("in");
    const twice = await call("run", "-i", "in", "-i", "other", "-o", "out", "--", "cat", "{input}");
    expect(twice).toMatchObject({ code: 2, stderr: 'headroom: --input: expected it once, found "in" and "other"\n' });
    const drawn = await call("run", "-i", "in", "-o", "out", "--plan-only", "--format", "svg", "--", "cat", "{input}");
    expect(drawn.code).toBe(2);
    expect(drawn.stderr).toContain("--plan-only: expected a flow, found a run over files");
    expect(drawn.stderr).toContain("--format: expected a flow, found a run over files");
    expect(existsSync(`${scratch.path}/out`)).toBe(false);
  });
});

describe("headroom export", () => {
  test("says where no file can appear", async () => {
    const { scratch, call } = openCommandLine();
    scratch.folder("in");
    const path = scratch.path;
    const absent = await call("export", "0mwz", "-o", "nowhere/rows.csv");
    expect(absent).toMatchObject({ code: 2, stderr: expect.stringContaining("ENOENT") as string });
    expect(absent.stderr).toContain(`at ${path}/nowhere/rows.csv`);
    const folder = await call("export", "0mwz", "-o", "in");
    expect(folder.stderr).toBe(`headroom: --output: expected a file, found a folder at ${path}/in\n`);
  });
});
