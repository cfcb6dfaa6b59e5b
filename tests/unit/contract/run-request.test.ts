import { describe, expect, test } from "vitest";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { changedRequest, checkRunSpec, parseRunSpec } from "../../../src/contract/run-request.ts";

const good = {
  command: ["/bin/cat", "{input}"],
  input: { kind: "list", root: "/in", paths: ["a"] },
  output: { root: "/out", from: "stdout" },
};

const binaryNamed = (name: string) =>
  `the absolute path of a binary, as the workers have it, such as "/usr/bin/${name}"`;

/** `where: expected | found` of every fault. */
function faultsOf(input: unknown): string[] {
  const checked = checkRunSpec(input);
  if (checked.kind === "valid") return [];
  return checked.faults.map(({ where, expected, found }) => `${where}: ${expected} | ${found}`);
}

describe("run specification", () => {
  test("fills in the defaults of a good one", () => {
    expect(parseRunSpec(good)).toMatchObject({ ...good, executor: "process", timeoutMs: 3_600_000 });
  });

  test("takes a schema of answers for a model, and tells each of its faults with its place", () => {
    const asking = (answer: unknown, change: object = {}) =>
      faultsOf({ ...good, executor: "infer", command: ["/model"], output: "/out", answer, ...change });
    const schema = {
      type: "object",
      properties: { a: { type: "string" }, b: { type: "number" } },
      required: ["a"],
      additionalProperties: false,
    };
    expect(asking({ schema: { type: "string", maxLength: 5 }, maxTokens: 10 })).toEqual([]);
    expect(asking({ schema })).toEqual([
      expect.stringMatching(/^answer\.schema \/properties\/a\/maxLength: .* \| nothing$/),
      expect.stringMatching(/^answer\.schema \/properties\/b\/type: .* \| "?number"?$/),
    ]);
    expect(asking({ schema: "x" })).toEqual([expect.stringMatching(/^answer\.schema: /)]);
    expect(asking({ schema: {}, maxTokens: 0 })).toEqual([expect.stringMatching(/^answer\.maxTokens: /)]);
    expect(asking({ schema: { enum: ["x".repeat(300_000)] } })).toEqual([
      expect.stringMatching(/^answer\.schema: a schema of 262144 bytes at most \| 3000\d\d bytes$/),
    ]);
    expect(asking({ schema: { enum: [1] } }, { executor: "process", command: ["/bin/cat", "{input}"] })).toEqual([
      expect.stringMatching(/^answer: none: only runs of a model/),
    ]);
  });

  test.each([
    [{ command: ["cat"] }, `command[0]: ${binaryNamed("cat")} | "cat"`],
    [{ command: ["./cat"] }, 'command[0]: the absolute path of a binary | "./cat"'],
    [{ command: [""] }, 'command[0]: the absolute path of a binary | ""'],
    [{ command: ["/bin/c\0at"] }, 'command[0]: the absolute path of a binary | "/bin/c\\u0000at"'],
    [{ command: [] }, "command: a list that is not empty | []"],
    [{ input: { kind: "tree", root: "" } }, 'input.root: the absolute path of a folder | ""'],
    [{ input: { kind: "tree", root: "in" } }, 'input.root: the absolute path of a folder | "in"'],
    [{ output: { root: "../out", from: "none" } }, 'output.root: the absolute path of a folder | "../out"'],
    [{ output: { ...good.output, check: ["test", "-s"] } }, `output.check[0]: ${binaryNamed("test")} | "test"`],
    [{ inputRules: { check: ["test"] } }, `inputRules.check[0]: ${binaryNamed("test")} | "test"`],
    [{ output: { ...good.output, check: [] } }, "output.check: a list that is not empty | []"],
    [{ input: { kind: "glob", root: "/in" } }, 'input.kind: one of tree, list, synthetic, none | "glob"'],
    [{ input: "in" }, 'input: the absolute path of a folder | "in"'],
    [
      { output: { root: "/o", from: "stdot" } },
      /^output\.from: one of stdout, file, results, none \(did you mean "stdout"\?\)/,
    ],
    [{ comand: [] }, 'comand: a known key (did you mean "command"?) | the unknown key "comand"'],
    [
      { input: { kind: "tree", root: "/in", inclde: [] } },
      'input.inclde: a known key (did you mean "include"?) | the unknown key "inclde"',
    ],
    [{ timeoutMs: -1 }, "timeoutMs: a number, more than 0 | -1"],
    [{ priority: 1.5 }, "priority: a whole number | 1.5"],
    [{ name: "n".repeat(201) }, /^name: a text of 200 characters at most \| "n{99}…$/],
    [{ binarySha256: "x" }, 'binarySha256: 64 hexadecimal digits in lower case | "x"'],
    [{ retry: { exitt: {} } }, 'retry.exitt: a known key (did you mean "exit"?) | the unknown key "exitt"'],
    [{ env: { TOKEN: 7 } }, "env.TOKEN: a text | a number"],
    [{ chunk: { maxFiles: 10n } }, /^chunk\.maxFiles: a (whole )?number \| 10$/],
  ])("says where it is, what was expected and what was found: %#", (change, fault) => {
    const found = faultsOf({ ...good, ...change });
    expect(found).toHaveLength(1);
    expect(found[0]).toEqual(typeof fault === "string" ? fault : expect.stringMatching(fault));
  });

  test("lets only a process without inputs leave its output where it works", () => {
    const left = { file: "report.md", transcript: "transcript.txt" };
    const alone = { ...good, command: ["/bin/agent"], input: { kind: "none" } };
    expect(faultsOf({ ...alone, output: { root: "/out", from: "file", left } })).toEqual([]);
    const expected = /^output\.left: none: only a process without inputs/;
    for (const change of [
      { ...good, output: { root: "/out", from: "file", left } },
      { ...alone, output: { root: "/out", from: "stdout", left } },
      { ...alone, executor: "infer", command: ["/model"], output: { root: "/out", from: "results", left } },
    ]) {
      expect(faultsOf(change)).toEqual([expect.stringMatching(expected)]);
    }
  });

  test("tells all faults together", () => {
    expect(() => parseRunSpec({ command: ["cat"], input: { kind: "list", root: "" }, output: 5 })).toThrow(
      new InvalidInputError("run specification", [
        { where: "output", expected: "a mapping of keys", found: "5" },
        { where: "command[0]", expected: binaryNamed("cat"), found: '"cat"' },
        { where: "input.root", expected: "the absolute path of a folder", found: '""' },
      ]),
    );
    expect(faultsOf(undefined)).toEqual(["run: a mapping of keys | nothing"]);
  });
});

describe("short forms", () => {
  const command = ["/bin/cat", "{input}"];

  test("a folder is a path, and the command says where the output comes from", () => {
    expect(parseRunSpec({ command, input: "/in", output: "/out" })).toEqual(
      parseRunSpec({ command, input: { kind: "tree", root: "/in" }, output: { root: "/out", from: "stdout" } }),
    );
    const writing = ["/bin/cp", "{input}", "--to={output_file}"];
    expect(parseRunSpec({ command: writing, input: "/in", output: "/out" }).output.from).toBe("file");
    expect(parseRunSpec({ command: writing, input: "/in", output: { root: "/out" } }).output.from).toBe("file");
    expect(parseRunSpec({ command: writing, input: "/in", output: { root: "/out", from: "none" } }).output.from).toBe(
      "none",
    );
    expect(parseRunSpec({ command: ["/bin/cat", "{inputs}"], input: "/in", output: "/out" }).perChunk).toBe(true);
  });

  test.each([
    [["/in/a"], "/in", ["a"]],
    [["/a"], "/", ["a"]],
    [["/in/x/a", "/in/y//b"], "/in", ["x/a", "y/b"]],
    [["/in/a", "/in/a/b"], "/in", ["a", "a/b"]],
    [["/data/in/a", "/data/in2/a"], "/data", ["in/a", "in2/a"]],
    [["/in/\udcff", "/in/./b"], "/in", ["\udcff", "b"]],
  ])("%j is a list below the folder that they share", (files, root, paths) => {
    expect(parseRunSpec({ command, input: files, output: "/out" }).input).toEqual({ kind: "list", root, paths });
  });

  test.each([
    [{ input: ["a"] }, 'input[0]: the absolute path of a file, without .. parts | "a"'],
    [{ input: ["/in/a", "/in/../b"] }, 'input[1]: the absolute path of a file, without .. parts | "/in/../b"'],
    [{ input: ["/in/"] }, 'input[0]: the absolute path of a file, without .. parts | "/in/"'],
    [{ input: ["/in/a", 7] }, "input[1]: the absolute path of a file, without .. parts | 7"],
    [{ input: [] }, "input: 1 to 1000 files, or a folder | 0 of them"],
    [{ input: "in" }, 'input: the absolute path of a folder | "in"'],
    [{ output: "out" }, 'output: the absolute path of a folder | "out"'],
    [{ output: "/in/" }, 'output: a folder other than the input folder | "/in/"'],
    [{ output: { root: "/in" } }, 'output.root: a folder other than the input folder | "/in"'],
    [
      { output: { root: "/o", form: "file" } },
      'output.form: a known key (did you mean "from"?) | the unknown key "form"',
    ],
  ])("a fault stands where it was written: %j", (change, fault) => {
    expect(faultsOf({ command, input: "/in", output: "/out", ...change })).toContain(fault);
  });
});

describe("a run that is started again with a change", () => {
  const before = parseRunSpec(good);

  test("stays as it was without one", () => {
    expect(parseRunSpec(changedRequest(before, {}))).toEqual(before);
    const perChunk = parseRunSpec({ ...good, command: ["/bin/cat", "{inputs}"] });
    expect(perChunk.perChunk).toBe(true);
    expect(parseRunSpec(changedRequest(perChunk, {}))).toEqual(perChunk);
  });

  test("takes what follows from the command from the new one", () => {
    const toFile = parseRunSpec(changedRequest(before, { command: ["/bin/cp", "{input}", "{output}"] }));
    expect(toFile.output.from).toBe("file");
    const many = parseRunSpec(changedRequest(before, { command: ["/bin/cat", "{inputs}"] }));
    expect(many.perChunk).toBe(true);
    expect(parseRunSpec(changedRequest(many, { command: ["/bin/cat", "{input}"] })).perChunk).toBe(false);
  });

  test("keeps what had been set otherwise", () => {
    const none = parseRunSpec({ ...good, output: { root: "/out", from: "none" } });
    const changed = parseRunSpec(changedRequest(none, { command: ["/bin/cp", "{input}", "{output}"] }));
    expect(changed.output.from).toBe("none");
  });
});

describe("run specification of a model", () => {
  const written = { executor: "infer", command: ["/models/kinds"], input: "/in", output: "/out" };

  test("keeps what the model says of all files, in chunks of many", () => {
    expect(parseRunSpec(written)).toMatchObject({
      output: { root: "/out", from: "results" },
      chunk: { maxFiles: 2_048, targetMs: 400 },
      resources: { cpuCores: 0.5 },
    });
    expect(parseRunSpec({ ...written, chunk: { maxFiles: 7 }, resources: { cpuCores: 2 } })).toMatchObject({
      chunk: { maxFiles: 7 },
      resources: { cpuCores: 2 },
    });
  });

  test("names the folder of the model by an absolute path", () => {
    expect(() => parseRunSpec({ ...written, command: ["kinds"] })).toThrow(
      'command[0]: expected the absolute path of a folder, found "kinds"',
    );
  });
});
