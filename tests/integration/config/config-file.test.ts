import { join } from "node:path";
import { parse } from "yaml";
import { describe, expect, test } from "vitest";
import { commandOf, compileConfig } from "../../../src/contract/config-compile.ts";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { runSpec } from "../../../src/contract/run-spec.ts";
import { loadConfig, type ConfigSources } from "../../../src/platform/config-file.ts";
import { exampleConfig, printConfig } from "../../../src/platform/config-text.ts";
import { Scratch } from "../../support/scratch.ts";

const theFile = `binary:
  path: "/path/to/binary"
  flags:
    - "--input={input_file}"
    - "--output={output_file}"
directories:
  input: "/path/to/input"
  output: "/path/to/output"
resources:
  max_processes: 3
  memory_threshold_percent: 80
  cpu_threshold_percent: 80
`;

function load(text: string, sources: Partial<ConfigSources> = {}) {
  using scratch = new Scratch();
  return loadConfig({ file: scratch.file("headroom.yaml", text), env: {}, cwd: scratch.path, ...sources });
}

function faultsOf(work: () => unknown): string[] {
  try {
    work();
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return error.faults.map(({ where, expected, found }) => `${where}: ${expected} | ${found}`);
  }
  return [];
}

describe("configuration file", () => {
  test("the file that people have works as it is", () => {
    const config = load(theFile);
    expect(config.directories).toEqual({ input: "/path/to/input", output: "/path/to/output" });
    expect(commandOf(config)).toEqual(["/path/to/binary", "--input={input_file}", "--output={output_file}"]);
    const input = { kind: "list", root: "/path/to/input" } as const;
    const compiled = compileConfig(config, { input, outputRoot: "/path/to/output" });
    const resources = { maxProcesses: 3, memoryThresholdPercent: 80, cpuThresholdPercent: 80, jobGroups: "off" };
    expect(compiled.resources).toEqual(resources);
    expect(runSpec.parse(compiled.run).output.from).toBe("file");
  });

  test("rules of the policy come by variables: a list, a JSON list with digests, or any", () => {
    const sha256 = "a".repeat(64);
    const env = {
      HEADROOM_ALLOW_BINARIES: JSON.stringify(["/bin/cat", { path: "/opt/tool", sha256 }]),
      HEADROOM_ALLOW_READ: "/data/in, /data/more",
      HEADROOM_ALLOW_WRITE: "any",
      HEADROOM_ALLOW_ENV: "LANGUAGE",
    };
    expect(loadConfig({ env, cwd: "/" }).allow).toEqual({
      binaries: [{ path: "/bin/cat" }, { path: "/opt/tool", sha256 }],
      read: ["/data/in", "/data/more"],
      write: "any",
      env: ["LANGUAGE"],
    });
    expect(() => loadConfig({ env: { HEADROOM_ALLOW_READ: "in" }, cwd: "/" })).toThrow(
      'HEADROOM_ALLOW_READ: expected an absolute path without .. parts, found "in"',
    );
  });

  test("five faults are five faults, each with its line", () => {
    const text = theFile
      .replace("max_processes: 3", "max_processes: many")
      .replace("cpu_threshold_percent: 80", "cpu_treshold_percent: 80")
      .replace("memory_threshold_percent: 80", "memory_threshold_percent: 800")
      .replace("flags:", "flags: []\nlogging:\n  level: loud\nwat:");
    expect(faultsOf(() => load(text))).toEqual([
      'resources.max_processes (line 13): a number | "many"',
      "resources.memory_threshold_percent (line 14): a number, 100 at most | 800",
      'resources.cpu_treshold_percent (line 15): a known key (did you mean "cpu_threshold_percent"?) | the unknown key "cpu_treshold_percent"',
      'logging.level (line 5): one of debug, info, warn, error, silent | "loud"',
      expect.stringMatching(/^wat \(line 6\): .*the unknown key "wat"$/),
    ]);
  });

  test("a pattern that is none is a fault at its line, or of its option", () => {
    const text = "input:\n  include:\n    - '*.txt'\n    - '[a'\n  exclude: ['x(']\n  hidden: perhaps\n";
    expect(faultsOf(() => load(text))).toEqual([
      'input.hidden (line 6): true or false | "perhaps"',
      'input.include[1] (line 4): a glob pattern (missing closing: "]" - use "\\\\]" to match literal characters) | "[a"',
      expect.stringMatching(/^input\.exclude\[0\] \(line 5\): a glob pattern \(missing closing: "\)".* \| "x\("$/),
    ]);
    const settings = [{ where: "--include", path: ["input", "include"], value: ["["] }];
    expect(faultsOf(() => load("", { settings }))).toEqual([
      expect.stringMatching(/^--include: a glob pattern .* \| "\["$/),
    ]);
  });

  test.each([
    ["a: [1", /headroom\.yaml:1:\d+: valid YAML/],
    ["a: 1\na: 2", /headroom\.yaml:2:1: valid YAML \| Map keys must be unique/],
    ["a: !what 1", /valid YAML/],
    ["a: 1\n---\nb: 2", /valid YAML/],
    [
      `a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c]`,
      /aliases at most/,
    ],
  ])("%j is reported with line and column", (text, message) => {
    const found = faultsOf(() => load(text));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(message);
  });

  test("a file that is missing or far too large is an error of its own", () => {
    expect(faultsOf(() => load("", { file: "/no/where.yaml" }))).toEqual([
      "--config: a readable file | nothing at /no/where.yaml",
    ]);
    expect(faultsOf(() => load("#".repeat(1_048_577)))[0]).toMatch(/1048576 bytes at most/);
  });

  test("an empty file and an empty section are the defaults", () => {
    expect(load("")).toEqual(loadConfig({ env: {}, cwd: "/" }));
    expect(load("limits:\n  # timeout_seconds: 3\n").limits.timeout_seconds).toBe(3_600);
  });

  test("paths in the file are relative to the file", () => {
    using scratch = new Scratch();
    scratch.file("conf/h.yaml", "binary: {path: ./b}\ndirectories: {input: ../in, output: /out}\n");
    const config = loadConfig({ file: "conf/h.yaml", env: {}, cwd: scratch.path });
    expect(config.binary?.path).toBe(join(scratch.path, "conf/b"));
    expect(config.directories).toEqual({ input: join(scratch.path, "in"), output: "/out" });
    scratch.file("conf/h.yaml", "binary: {path: cat}\n");
    expect(loadConfig({ file: "conf/h.yaml", env: {}, cwd: scratch.path }).binary?.path).toBe("cat");
  });
});

describe("templates", () => {
  test("variables are put in, typed where the word is bare, and never become structure", () => {
    const env = { N: "4", DIR: "/in", EVIL: "x\nbinary:\n  path: /bin/evil", EMPTY: "" };
    const config = load(
      [
        "binary:",
        "  path: ${EVIL}",
        "  flags: ['--n=${N}', '{input}', '$${N}', '${EMPTY:-e}${NO:-}', '${EMPTY}']",
        "directories:",
        "  input: ${DIR}/${SUB:-sub}",
        "resources:",
        "  max_processes: ${N}",
        "input:",
        "  hidden: ${HIDE:-true}",
      ].join("\n"),
      { env },
    );
    expect(config.binary).toEqual({ path: env.EVIL, flags: ["--n=4", "{input}", "${N}", "e", ""] });
    expect(config.directories.input).toBe("/in/sub");
    expect(config.resources.max_processes).toBe(4);
    expect(config.input.hidden).toBe(true);
  });

  test("every variable that is not set is a fault at its place", () => {
    const text = "binary:\n  path: ${A}\n  flags:\n    - ok\n    - ${B}${C}\nresources:\n  max_processes: ${D}\n";
    expect(faultsOf(() => load(text))).toEqual([
      "binary.path (line 2): the variable A to be set, or a default: ${A:-…} | nothing",
      "binary.flags[1] (line 5): the variable B to be set, or a default: ${B:-…} | nothing",
      "binary.flags[1] (line 5): the variable C to be set, or a default: ${C:-…} | nothing",
      "resources.max_processes (line 7): the variable D to be set, or a default: ${D:-…} | nothing",
    ]);
  });
});

describe("overrides", () => {
  test("the environment wins over the file, and the command line over both", () => {
    const env = {
      HEADROOM_RESOURCES_MAX_PROCESSES: "5",
      HEADROOM_LIMITS_TIMEOUT_SECONDS: "2m",
      HEADROOM_INPUT_HIDDEN: "true",
      HEADROOM_INPUT_INCLUDE: "*.png, *.jpg",
      HEADROOM_BINARY_FLAGS: '["a,b", "{input}"]',
      HEADROOM_SUCCESS_EXIT_CODES: "0,2",
      HEADROOM_RETRY_OUT_OF_MEMORY_ATTEMPTS: "9",
      HEADROOM_HOME: "/not/a/setting",
      OTHER: "",
    };
    const settings = [{ path: ["resources", "max_processes"], value: 6, where: "--max-processes" }];
    const config = load(theFile, { env, settings });
    expect(config.resources.max_processes).toBe(6);
    expect(config.limits.timeout_seconds).toBe(120);
    expect(config.input).toMatchObject({ hidden: true, include: ["*.png", "*.jpg"] });
    expect(config.binary?.flags).toEqual(["a,b", "{input}"]);
    expect(config.success_exit_codes).toEqual([0, 2]);
    expect(config.retry["out-of-memory"]?.attempts).toBe(9);
  });

  test("a faulty override is named by its variable or option, together with the faults of the file", () => {
    const env = {
      HEADROOM_RESOURCES_MAX_PROCESSES: "many",
      HEADROOM_LIMITS_LOG_BYTES: "",
      HEADROOM_RESOURCES_MAX_PROCESES: "3",
    };
    const settings = [{ path: ["limits", "timeout_seconds"], value: "soon", where: "--timeout" }];
    expect(faultsOf(() => load("profile: Big", { env, settings })).map((fault) => fault.split(":")[0])).toEqual([
      "HEADROOM_LIMITS_LOG_BYTES",
      "HEADROOM_RESOURCES_MAX_PROCESES",
      "HEADROOM_RESOURCES_MAX_PROCESSES",
      "--timeout",
      "profile (line 1)",
    ]);
  });
});

describe("configuration as text", () => {
  test("the example is valid, says the defaults, and stays so without its comments", () => {
    const config = load(exampleConfig);
    const defaults = load("");
    const { binary, directories, profiles, retry, ...rest } = config;
    const { directories: _d, profiles: _p, retry: _r, ...restOfDefaults } = defaults;
    expect(rest).toEqual(restOfDefaults);
    expect(binary).toEqual({ path: "sha256sum", flags: ["{input}"] });
    expect(Object.keys({ ...directories, ...profiles, ...retry })).toEqual(["input", "output", "default", "exit"]);
    const all = exampleConfig.replace(/^(\s*)# ([a-z_]+:.*|  [a-z_]+:.*)$/gm, "$1$2");
    expect(load(all, { env: { REDIS_URL: "redis://h", STORE_URL: "sqlite:///f" } }).limits.max_failures).toBe(100);
  });

  test("what is printed can be loaded again, without its passwords", () => {
    const config = load(theFile, { env: { HEADROOM_REDIS_URL: "redis://me:p@ss@host:1/0" } });
    const printed = printConfig(config);
    expect(printed).not.toContain("p@ss");
    expect(parse(printed)).toMatchObject({ redis: { url: "redis://me:***@host:1/0" } });
    expect(printConfig(load(printed))).toBe(printed);
  });
});
