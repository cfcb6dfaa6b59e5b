import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileConfig, maxFailuresOf } from "../../../src/contract/config-compile.ts";
import { parseConfig } from "../../../src/contract/config-faults.ts";
import { configLeaves } from "../../../src/contract/config-json-schema.ts";
import { parseDurationMs, parseSizeBytes } from "../../../src/contract/config-units.ts";
import type { Config, ConfigInput } from "../../../src/contract/config.ts";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { runSpec } from "../../../src/contract/run-spec.ts";
import { editDistance, suggest } from "../../../src/contract/suggest.ts";

function valid(raw: ConfigInput): Config {
  const parsed = parseConfig(raw);
  if (parsed.kind === "faulty") throw new InvalidInputError("configuration", parsed.faults);
  return parsed.config;
}

function faults(raw: unknown): Record<string, string> {
  const parsed = parseConfig(raw);
  if (parsed.kind === "valid") return {};
  return Object.fromEntries(parsed.faults.map(({ where, expected, found }) => [where, `${expected} | ${found}`]));
}

const parts = { input: { kind: "list", root: "/in" }, outputRoot: "/out" } as const;

describe("units", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["1h30m", 5_400_000],
    ["1.5 s", 1_500],
    ["2d", 172_800_000],
    ["30", undefined],
    ["s", undefined],
    ["-1s", undefined],
    ["30 sec", undefined],
  ])("%s is %s ms", (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  test.each([
    ["512MiB", 536_870_912],
    ["64k", 65_536],
    ["1.5GB", 1_500_000_000],
    ["10 b", 10],
    ["10", undefined],
    ["1XB", undefined],
    ["-1k", undefined],
  ])("%s is %s bytes", (text, bytes) => {
    expect(parseSizeBytes(text)).toBe(bytes);
  });
});

describe("suggestions", () => {
  test("a slip of the fingers is found, another word is not", () => {
    expect(suggest("max_proceses", ["max_processes", "memory_threshold_percent"])).toBe("max_processes");
    expect(suggest("falgs", ["path", "flags"])).toBe("flags");
    expect(suggest("zzz", ["path", "flags"])).toBeUndefined();
  });

  test("the distance is a metric that a swap counts once in", () => {
    expect(editDistance("falgs", "flags")).toBe(1);
    expect(editDistance("", "abc")).toBe(3);
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, a)).toBe(0);
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

describe("allow", () => {
  const sha256 = "a".repeat(64);

  test("takes paths, paths with digests, and any", () => {
    const { allow } = valid({
      allow: { binaries: ["/bin/a", { path: "/opt/b", sha256 }], read: ["/in/"], write: "any" },
    });
    expect(allow).toEqual({ binaries: [{ path: "/bin/a" }, { path: "/opt/b", sha256 }], read: ["/in/"], write: "any" });
    expect(valid({}).allow).toEqual({});
  });

  test("what was printed can be loaded again", () => {
    const { allow } = valid({ allow: { binaries: ["/bin/a", { path: "/opt/b", sha256 }] } });
    expect(valid({ allow } as ConfigInput).allow).toEqual(allow);
  });

  test("says which entry is wrong", () => {
    const binaries = ["sh", { path: "../x" }, { path: "/x", sha256: "AB" }, "/a/../b"];
    expect(faults({ allow: { binaries, read: ["in"], write: 7, red: [] } })).toEqual({
      "allow.binaries[0]": 'an absolute path without .. parts | "sh"',
      "allow.binaries[1].path": 'an absolute path without .. parts | "../x"',
      "allow.binaries[2].sha256": '64 hexadecimal digits in lower case | "AB"',
      "allow.binaries[3]": 'an absolute path without .. parts | "/a/../b"',
      "allow.read[0]": 'an absolute path without .. parts | "in"',
      "allow.write": '"any", or a list of absolute paths of folders | 7',
      "allow.red": 'a known key (did you mean "read"?) | the unknown key "red"',
    });
    expect(faults({ allow: { binaries: [{ path: "/x", sha265: sha256 }] } })).toEqual({
      "allow.binaries[0].sha265": 'a known key (did you mean "sha256"?) | the unknown key "sha265"',
    });
  });
});

describe("config", () => {
  test("an empty file is the defaults of a run", () => {
    const compiled = compileConfig(valid({}), { ...parts, command: ["/bin/cat", "{input}"] });
    const expected = runSpec.parse({
      command: ["/bin/cat", "{input}"],
      input: parts.input,
      output: { root: "/out", from: "stdout" },
    });
    expect(runSpec.parse(compiled.run)).toEqual(expected);
  });

  test("everything that the file says is in the run", () => {
    const config = valid({
      binary: { path: "/bin/x", flags: ["--input={input_file}", "--output={output_file}"] },
      resources: { max_processes: 3, memory_threshold_percent: 80, cpu_threshold_percent: 70 },
      retry: { exit: { attempts: 5, backoff_ms: "2s" }, "out-of-memory": { attempts: 1 } },
      limits: {
        timeout_seconds: "90s",
        kill_after_seconds: 1,
        log_bytes: "1KiB",
        output_max_bytes: 99,
        max_failures: "5%",
      },
      chunk: { max_files: 7, max_bytes: "1MiB", target_ms: 100 },
      output: { name: "{stem}.out", allow_empty: true, check: ["true"] },
      input: { min_bytes: 1, max_bytes: "1k", check: ["test", "-s", "{input}"] },
      profiles: { big: { memory: "2GiB", cpu: 2, labels: ["gpu"] } },
      profile: "big",
      env: { A: "b" },
      env_allow: ["PATH"],
      success_exit_codes: [0, 3],
      calibration: { files: 4 },
    });
    const compiled = compileConfig(config, { ...parts, name: "n" });
    const governed = { maxProcesses: 3, memoryThresholdPercent: 80, cpuThresholdPercent: 70, jobGroups: "off" };
    expect(compiled.resources).toEqual(governed);
    expect(compiled.run.calibration).toEqual({ files: 4 });
    expect(runSpec.parse(compiled.run)).toMatchObject({
      name: "n",
      command: ["/bin/x", "--input={input_file}", "--output={output_file}"],
      inputRules: { minBytes: 1, maxBytes: 1_024, check: ["test", "-s", "{input}"] },
      output: { root: "/out", name: "{stem}.out", from: "file", allowEmpty: true, check: ["true"], maxBytes: 99 },
      env: { A: "b" },
      envAllow: ["PATH"],
      timeoutMs: 90_000,
      killAfterMs: 1_000,
      logBytes: 1_024,
      successExitCodes: [0, 3],
      retry: {
        exit: { attempts: 5, backoffMs: 2_000, backoffFactor: 2, maxBackoffMs: 30_000 },
        "out-of-memory": { attempts: 1, backoffMs: 1_000, backoffFactor: 2, maxBackoffMs: 60_000 },
      },
      profile: "big",
      resources: { memoryBytes: 2_147_483_648, cpuCores: 2, labels: ["gpu"] },
      chunk: { maxFiles: 7, maxBytes: 1_048_576, targetMs: 100 },
      maxFailures: { unit: "percent", value: 5 },
    });
  });

  test("the effective values are a valid file with the same meaning", () => {
    const config = valid({ limits: { timeout_seconds: "90s", max_failures: 3 }, profiles: { a: { memory: "1GiB" } } });
    expect(valid(JSON.parse(JSON.stringify(config)) as ConfigInput)).toEqual(config);
  });

  test("{inputs} makes one call per chunk", () => {
    const { run } = compileConfig(valid({ binary: { path: "x", flags: ["{inputs}"] } }), parts);
    expect(run.perChunk).toBe(true);
  });

  test("a run without a command, or with its outputs among the inputs, is refused", () => {
    const input = { kind: "tree", root: "/in/" } as const;
    const compile = () => compileConfig(valid({}), { input: runSpec.shape.input.parse(input), outputRoot: "/in" });
    expect(compile).toThrow(/binary\.path: expected a command to run, found nothing/);
    expect(compile).toThrow(/directories\.output: expected a folder other than the input folder/);
  });

  test("all faults are reported, each with place, expected and found", () => {
    expect(
      faults({
        binry: {},
        binary: { flags: ["ok", 3] },
        resources: { max_processes: 0, memory_threshold_percent: "much", cpu_threshold_percent: 101, max_procesess: 1 },
        limits: { timeout_seconds: "soon", max_failures: "100.5%" },
        input: { symlinks: "folow", min_bytes: 10, max_bytes: 5 },
        profiles: { BIG: {} },
        profile: "bigg",
        success_exit_codes: [],
        output: { name: "" },
        redis: { url: "http://user:secret@host" },
        retry: { exitt: {} },
      }),
    ).toEqual({
      binry: 'a known key (did you mean "binary"?) | the unknown key "binry"',
      "binary.path": "a text | nothing",
      "binary.flags[1]": "a text | 3",
      "resources.max_processes": "a number, 1 at least | 0",
      "resources.memory_threshold_percent": 'a number | "much"',
      "resources.cpu_threshold_percent": "a number, 100 at most | 101",
      "resources.max_procesess": 'a known key (did you mean "max_processes"?) | the unknown key "max_procesess"',
      "limits.timeout_seconds": 'a number of seconds or a duration such as "30s", 0.001 to 2147483 | "soon"',
      "limits.max_failures": 'a number of files or a percentage such as "5%" | "100.5%"',
      "input.symlinks": 'one of skip, follow, refuse (did you mean "follow"?) | "folow"',
      "input.max_bytes": "input.min_bytes (10) at least | 5",
      "profiles.BIG": 'as its key lower-case letters, digits, - and _, 40 at most | "BIG"',
      profile: 'a profile that is declared: one of default, BIG (did you mean "BIG"?) | "bigg"',
      success_exit_codes: "a list that is not empty | []",
      "output.name": 'a text that is not empty | ""',
      "redis.url": 'an address such as "redis://host:6379/0" | another text',
      "retry.exitt": 'a known key (did you mean "exit"?) | the unknown key "exitt"',
    });
  });

  test.each<[what: string, raw: ConfigInput, faults: Record<string, string>]>([
    [
      "a profile above the worker's memory",
      { profiles: { big: { memory: "2GiB" }, small: { memory: "1GiB" } }, worker: { memory_max: "1GiB" } },
      { "profiles.big.memory": 'worker.memory_max (1GiB) at most | "2GiB"' },
    ],
    [
      "a profile above the threshold on it",
      {
        profiles: { big: { memory: "1GiB" } },
        resources: { memory_threshold_percent: 50 },
        worker: { memory_max: "1GiB" },
      },
      {
        "profiles.big.memory": 'resources.memory_threshold_percent (50) of worker.memory_max (1GiB) at most | "1GiB"',
      },
    ],
    [
      "a profile above the memory of a worker that carries its labels",
      { profiles: { big: { memory: 2e9, labels: ["gpu"] } }, worker: { memory_max: 1e9, labels: ["gpu", "eu"] } },
      { "profiles.big.memory": "worker.memory_max (1000000000) at most | 2000000000" },
    ],
    [
      "a profile for other workers",
      { profiles: { big: { memory: "2GiB", labels: ["gpu"] } }, worker: { memory_max: "1GiB" } },
      {},
    ],
    [
      "the memory of a card that no job gets",
      { profiles: { a: { gpu_memory: "2GiB" }, b: { gpu_memory: "2GiB", labels: ["gpu"] } } },
      { "profiles.a.gpu_memory": 'profiles.a.labels with gpu in it | "2GiB"' },
    ],
    [
      "sizes that are texts",
      { input: { min_bytes: "10k", max_bytes: "5k" } },
      { "input.max_bytes": 'input.min_bytes (10k) at least | "5k"' },
    ],
    [
      "a first pause beyond the longest",
      { retry: { exit: { backoff_ms: "5s", max_backoff_ms: 1_000 }, timeout: { max_backoff_ms: 1 } } },
      { "retry.exit.max_backoff_ms": "retry.exit.backoff_ms (5s) at least | 1000" },
    ],
    [
      "a pattern that is included and excluded",
      { input: { include: ["*.md", "*.txt"], exclude: ["x/**", "*.txt"] } },
      { "input.exclude[1]": 'a pattern other than input.include[1] | "*.txt"' },
    ],
  ])("settings that contradict each other: %s", (_what, raw, expected) => {
    expect(faults(raw)).toEqual(expected);
  });

  test.each([[null], ["text"], [[1]], [3]])("%j is no configuration", (raw) => {
    expect(Object.keys(faults(raw))).toEqual(["the file"]);
  });

  test("placeholders are checked where they stand", () => {
    expect(faults({ binary: { path: "x", flags: ["{inputs}", "{input}"] }, output: { name: "{input}" } })).toEqual({
      "binary.flags": "{inputs} or the placeholders of one file (beside it: {output} {output_file} {run}) | both",
      "output.name": "{dir} {name} {stem} {ext} {index} {run} | {input}",
    });
  });

  test("failures are counted in files or percent", () => {
    expect(maxFailuresOf(3)).toEqual({ unit: "files", value: 3 });
    expect(maxFailuresOf("0.5%")).toEqual({ unit: "percent", value: 0.5 });
    expect(maxFailuresOf(undefined)).toBeUndefined();
  });

  test("every setting has one variable", () => {
    const variables = configLeaves.map((leaf) => leaf.variable);
    expect(variables).toContain("HEADROOM_RESOURCES_MAX_PROCESSES");
    expect(variables).toContain("HEADROOM_RETRY_OUT_OF_MEMORY_ATTEMPTS");
    expect(new Set(variables).size).toBe(variables.length);
  });
});
