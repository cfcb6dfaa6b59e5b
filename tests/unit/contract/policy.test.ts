import { describe, expect, test } from "vitest";
import { parseAllow, type AllowInput } from "../../../src/contract/allow.ts";
import {
  decidePath,
  envFaults,
  networkFaults,
  pathAsksOf,
  type PathRule,
  type Seen,
} from "../../../src/contract/policy.ts";
import { parseRunSpec, type RunRequest } from "../../../src/contract/run-request.ts";

const real = (path: string): Seen => ({ kind: "real", real: path });

/** Decides as if no path had a link in it. */
function decide(rule: PathRule, value: string, allowed: readonly string[], at: Seen = real(value)) {
  const places = allowed.map((path) => ({ written: path, seen: real(path.replace(/(?<=.)\/+$/, "")) }));
  return decidePath({ rule, path: ["x"], value }, at, places);
}

function spec(change: Partial<RunRequest> = {}) {
  return parseRunSpec({ command: ["/usr/bin/tool", "{input}"], input: "/data/in", output: "/data/out", ...change });
}

describe("policy for folders", () => {
  test.each([
    ["/data/in", ["/data/in"]],
    ["/data/in/a/b", ["/data/in"]],
    ["/data/in/a", ["/data/in/"]],
    ["/data/in/..a", ["/data/in"]],
    ["/data/in/\udcff\udc80", ["/data/in"]],
    ["/anything", ["/"]],
    ["/b/c", ["/a", "/b"]],
  ])("%j is inside %j", (path, roots) => {
    expect(decide("read", path, roots).kind).toBe("allowed");
    expect(decide("write", path, roots).kind).toBe("allowed");
  });

  test.each([
    ["/data/in2", ["/data/in"]],
    ["/data/in\udcff", ["/data/in"]],
    ["/data", ["/data/in"]],
    ["/", ["/data"]],
    ["/data/in/../other", ["/data"]],
    ["/data/in/..", ["/data/in"]],
    ["data/in", ["/"]],
    ["", ["/"]],
    ["/data/\0", ["/data"]],
    ["/data/in", []],
  ])("%j is not inside %j", (path, roots) => {
    expect(decide("read", path, roots).kind).toBe("refused");
  });

  test("what counts is where the links lead, and a fault says so", () => {
    expect(decide("read", "/data/in/link", ["/data/in"], real("/etc"))).toEqual({
      kind: "refused",
      fault: {
        path: ["x"],
        where: "x",
        expected: "a folder inside one of allow.read (/data/in)",
        found: '"/data/in/link", which is "/etc"',
      },
    });
    expect(decide("read", "/alias", ["/data/in"], real("/data/in/a")).kind).toBe("allowed");
    const unknown = decide("write", "/data/in/x", ["/"], { kind: "unknown", why: "ELOOP" });
    expect(unknown).toMatchObject({ kind: "refused", fault: { found: expect.stringContaining("ELOOP") as string } });
  });

  test("an allowed root that cannot be looked up covers nothing", () => {
    const ask = { rule: "read", path: ["x"], value: "/data/in" } as const;
    const place = { written: "/data/in", seen: { kind: "unknown", why: "EACCES" } as const };
    expect(decidePath(ask, real("/data/in"), [place]).kind).toBe("refused");
  });
});

describe("policy for binaries", () => {
  test("takes exactly the names that were listed", () => {
    expect(decide("binaries", "/usr/bin/tool", ["/usr/bin/tool"]).kind).toBe("allowed");
    for (const other of ["/usr/bin/tool2", "/usr/bin", "/usr/bin/tool/x", "/bin/sh", "tool", "/usr/bin/../bin/tool"]) {
      expect([other, decide("binaries", other, ["/usr/bin/tool"]).kind]).toEqual([other, "refused"]);
    }
  });

  test("a digest holds for its name; a name without one needs none", () => {
    const ask = { rule: "binaries", path: ["command", 0], value: "/opt/tool" } as const;
    const at = (sha256?: string) => ({ written: "/opt/tool", seen: real("/opt/tool"), sha256 });
    const other = { written: "/opt/other", seen: real("/opt/other"), sha256: "c" };
    expect(decidePath(ask, real("/opt/tool"), [at("a"), at("b"), other])).toMatchObject({ sha256: ["a", "b"] });
    expect(decidePath(ask, real("/opt/tool"), [at("a"), at()])).toMatchObject({ sha256: undefined });
  });

  test("long lists are cut in a message", () => {
    const names = Array.from({ length: 9 }, (_, at) => `/b/${at}`);
    const decision = decide("binaries", "/x", names);
    const expected = "a binary that allow.binaries names (/b/0, /b/1, /b/2, /b/3, /b/4 and 4 more)";
    expect(decision).toMatchObject({ fault: { expected, found: '"/x"' } });
  });
});

describe("what a run is asked about", () => {
  const all: AllowInput = { binaries: [], read: [], write: [] };
  const rulesOf = (allow: AllowInput, change: Partial<RunRequest> = {}) =>
    pathAsksOf(parseAllow(allow), spec(change)).map(({ rule, path, value }) => `${rule} ${path.join("/")} ${value}`);

  test("its binary, its checks, its input and its output", () => {
    const change = {
      inputRules: { check: ["/bin/in", "{input}"] },
      output: { root: "/data/out", check: ["/bin/out"] },
    };
    expect(rulesOf(all, change)).toEqual([
      "binaries command/0 /usr/bin/tool",
      "binaries inputRules/check/0 /bin/in",
      "binaries output/check/0 /bin/out",
      "read input/root /data/in",
      "write output/root /data/out",
    ]);
  });

  test("nothing that is any or not said, and no output where none is kept", () => {
    expect(rulesOf({})).toEqual([]);
    expect(rulesOf({ binaries: "any", read: "any", write: "any" })).toEqual([]);
    expect(rulesOf({ write: [] }, { output: { root: "/data/out", from: "none" } })).toEqual([]);
  });

  test("its variables, as soon as binaries are listed: one may load any code", () => {
    const asked = spec({ env: { LD_PRELOAD: "/x.so" }, envAllow: ["PATH", "AWS_SECRET"] });
    const placesOf = (allow: AllowInput) => envFaults(parseAllow(allow), asked).map(({ where }) => where);
    expect(placesOf({ binaries: ["/usr/bin/tool"] })).toEqual(["env.LD_PRELOAD", "envAllow[1]"]);
    expect(placesOf({ binaries: ["/usr/bin/tool"], env: ["AWS_SECRET"] })).toEqual(["env.LD_PRELOAD"]);
    expect(placesOf({ env: [] })).toEqual(["env.LD_PRELOAD", "envAllow[1]"]);
    expect(placesOf({ binaries: ["/usr/bin/tool"], env: "any" })).toEqual([]);
    expect(placesOf({ read: ["/data/in"] })).toEqual([]);
    expect(envFaults(parseAllow({ binaries: [] }), spec())).toEqual([]);
  });
});

test("the network that a job asks for is refused where it is not allowed", () => {
  const told = (allow: AllowInput, network?: boolean) =>
    networkFaults(parseAllow(allow), { network }).map(
      ({ where, expected, found }) => `${where}: ${expected} | ${found}`,
    );
  expect(told({ network: false }, true)).toEqual(["network: no network (allow.network) | true"]);
  expect([
    told({ network: false }, false),
    told({ network: false }),
    told({}, true),
    told({ network: true }, true),
  ]).toEqual([[], [], [], []]);
});

test("a job without network asks for a worker that can take it away, a model does not", () => {
  const labelsOf = (change: Partial<RunRequest>) => spec(change).resources.labels;
  expect(labelsOf({ network: false })).toEqual(["sandbox"]);
  expect(labelsOf({ network: false, sandbox: "none" })).toEqual(["sandbox"]);
  expect(labelsOf({})).toEqual([]);
  expect(labelsOf({ network: true })).toEqual([]);
  expect(labelsOf({ network: false, executor: "infer" })).toEqual([]);
});

test("the folder that a run works in is asked about for reading, and for writing where it writes", () => {
  const allow = parseAllow({ read: ["/data"], write: ["/data"] });
  const asked = (folder: RunRequest["folder"], rules = allow) =>
    pathAsksOf(rules, spec({ folder }))
      .filter(({ path }) => path[0] === "folder")
      .map(({ rule, value }) => `${rule} ${value}`);
  expect(asked({ path: "/data/repo" })).toEqual(["read /data/repo"]);
  expect(asked({ path: "/data/repo", writable: true })).toEqual(["read /data/repo", "write /data/repo"]);
  expect(asked({ path: "/data/repo", writable: true }, parseAllow({}))).toEqual([]);
});
