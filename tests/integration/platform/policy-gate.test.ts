/** The policy over a real disk: links, look-alikes, names that are not UTF-8. */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseAllow, type AllowInput } from "../../../src/contract/allow.ts";
import { PolicyError } from "../../../src/contract/errors.ts";
import { fsPath } from "../../../src/contract/path-bytes.ts";
import { parseRunSpec, type RunRequest } from "../../../src/contract/run-request.ts";
import { PolicyGate } from "../../../src/platform/policy-gate.ts";
import { Scratch } from "../../support/scratch.ts";

function prepared(): Scratch {
  const scratch = new Scratch();
  scratch.file("in/a/f", "inside");
  scratch.file("in2/f", "beside");
  scratch.file("secret/f", "outside");
  scratch.folder("out");
  symlinkSync("../secret", join(scratch.path, "in/link-out"));
  symlinkSync("a", join(scratch.path, "in/link-in"));
  symlinkSync("in", join(scratch.path, "alias"));
  symlinkSync("../../secret", join(scratch.path, "in/a/deep"));
  symlinkSync("not-there", join(scratch.path, "in/dangling"));
  symlinkSync("../not-there", join(scratch.path, "in/dangling-out"));
  return scratch;
}

function refusals(allow: AllowInput, change: Partial<RunRequest>): string[] {
  const gate = new PolicyGate(parseAllow(allow));
  const decision = gate.decide(parseRunSpec({ command: ["/bin/cat"], input: "/in", output: "/out", ...change }));
  return decision.kind === "refused" ? decision.faults.map(({ where }) => where) : [];
}

describe("policy gate", () => {
  test.each([
    ["in", true],
    ["in/", true],
    ["in/a", true],
    ["in/./a//", true],
    ["in/link-in", true],
    ["alias/a", true],
    ["in/dangling", true],
    ["in/not/there/yet", true],
    ["in2", false],
    ["secret", false],
    ["in/link-out", false],
    ["in/a/deep", false],
    ["in/dangling-out", false],
    ["alias/link-out", false],
    ["in/a/../../secret", false],
    ["in/link-out/..", false],
  ])("inputs and outputs at %s are inside the root or not: %s", (path, isInside) => {
    using scratch = prepared();
    for (const root of ["in", "in/", "alias"]) {
      const at = `${scratch.path}/${root}`;
      const wanted = `${scratch.path}/${path}`;
      expect(refusals({ read: [at] }, { input: wanted })).toEqual(isInside ? [] : ["input.root"]);
      expect(refusals({ write: [at] }, { output: wanted })).toEqual(isInside ? [] : ["output.root"]);
    }
  });

  test("names that are not UTF-8 are compared as bytes", () => {
    using scratch = prepared();
    mkdirSync(fsPath(`${scratch.path}/in/\udcff`));
    mkdirSync(fsPath(`${scratch.path}/in\udcff`));
    const read = [`${scratch.path}/in`];
    expect(refusals({ read }, { input: `${scratch.path}/in/\udcff` })).toEqual([]);
    expect(refusals({ read }, { input: `${scratch.path}/in\udcff` })).toEqual(["input.root"]);
  });

  test("a binary is known by its name in its real folder, not by what a link to it is called", () => {
    using scratch = prepared();
    scratch.file("usr/bin/box", "many programs in one file, which go by their name");
    symlinkSync("box", join(scratch.path, "usr/bin/sum"));
    symlinkSync("box", join(scratch.path, "usr/bin/shell"));
    symlinkSync("usr/bin", join(scratch.path, "bin"));
    symlinkSync("../usr/bin/sum", join(scratch.path, "in/sum"));
    const binaries = [`${scratch.path}/usr/bin/sum`];
    const ask = (name: string) => refusals({ binaries }, { command: [`${scratch.path}/${name}`] });
    expect(ask("usr/bin/sum")).toEqual([]);
    expect(ask("bin/sum")).toEqual([]);
    for (const other of ["usr/bin/shell", "usr/bin/box", "in/sum", "bin/shell"])
      expect(ask(other)).toEqual(["command[0]"]);
    expect(refusals({ binaries: [`${scratch.path}/bin/sum`] }, { command: [`${scratch.path}/usr/bin/sum`] })).toEqual(
      [],
    );
  });

  test("an allowed run names the binaries where they were found, its checks among them", () => {
    using scratch = prepared();
    scratch.file("usr/bin/sum", "");
    symlinkSync("usr/bin", join(scratch.path, "bin"));
    const [real, linked] = [`${scratch.path}/usr/bin/sum`, `${scratch.path}/bin/sum`];
    const gate = new PolicyGate(parseAllow({ binaries: [{ path: real, sha256: "a".repeat(64) }] }));
    const decision = gate.decide(
      parseRunSpec({
        command: [linked, "{input}"],
        input: "/in",
        inputRules: { check: [linked, "-c"] },
        output: { root: "/out", check: [linked, "-o"] },
      }),
    );
    const pin = { binary: real, sha256: ["a".repeat(64)] };
    expect(decision).toMatchObject({
      kind: "allowed",
      spec: { command: [real, "{input}"], inputRules: { check: [real, "-c"] }, output: { check: [real, "-o"] } },
      pins: [pin, pin, pin],
    });
  });

  test("tells every fault together, each where it was written", () => {
    const gate = new PolicyGate(parseAllow({ binaries: ["/usr/bin/true"], read: ["/data/in"], write: ["/data/out"] }));
    const spec = parseRunSpec({
      command: ["/bin/sh", "-c", "id"],
      input: "/etc",
      output: { root: "/root", check: ["/bin/false"] },
      env: { LD_PRELOAD: "/tmp/x.so" },
    });
    const places = ["command[0]", "output.check[0]", "input.root", "output.root", "env.LD_PRELOAD"];
    expect(() => {
      gate.require(spec);
    }).toThrow(PolicyError);
    const decision = gate.decide(spec);
    expect(decision.kind === "refused" && decision.faults.map(({ where }) => where)).toEqual(places);
  });
});
