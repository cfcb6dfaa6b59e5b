import { createHash } from "node:crypto";
import { chmodSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkPolicy } from "../../../src/cli/doctor/policy.ts";
import { parseAllow, type AllowInput } from "../../../src/contract/allow.ts";
import { Scratch } from "../../support/scratch.ts";

const statusesOf = (allow: AllowInput) =>
  checkPolicy(parseAllow(allow)).map(({ status, found }) => `${status} ${found}`);

describe("the doctor on the policy", () => {
  test("says what runs may use", () => {
    expect(statusesOf({})).toEqual(["ok none: a run may use any binary and any folder"]);
    expect(statusesOf({ binaries: "any" })).toEqual(["ok none: a run may use any binary and any folder"]);
    expect(statusesOf({ binaries: [], read: [], write: ["/tmp"] })).toEqual([
      "ok 0 binaries, inputs in no folder, outputs in /tmp",
    ]);
  });

  test("finds binaries that are not there, changed, or allow everything, and roots that cannot be used", () => {
    using scratch = new Scratch();
    const tool = scratch.file("tool", "tool");
    const shell = scratch.file("bin/dash", "shell");
    for (const path of [tool, shell]) chmodSync(path, 0o755);
    symlinkSync("dash", join(scratch.path, "bin/innocent"));
    const sha256 = createHash("sha256").update("tool").digest("hex");
    const binaries = [
      { path: tool, sha256 },
      { path: tool, sha256: "a".repeat(64) },
      `${scratch.path}/none`,
      `${scratch.path}/bin/innocent`,
      "/usr/bin/python3.11",
    ];
    const found = statusesOf({ binaries, read: [scratch.path, tool], write: [`${scratch.path}/nowhere`] });
    expect(found[0]).toMatch(/^ok 5 binaries/);
    expect(found[1]).toBe(`fail ${tool} has SHA-256 ${sha256}, pinned is ${"a".repeat(64)}`);
    expect(found[2]).toMatch(/^warn no executable .*\/none/);
    expect(found[3]).toBe(
      `warn ${scratch.path}/bin/innocent can start other programs, so allowing it allows everything`,
    );
    expect(found.slice(-2)).toEqual([
      expect.stringMatching(/^warn allow.read: .* cannot be read: it is no folder/),
      expect.stringMatching(/^warn allow.write: .* cannot be written: ENOENT/),
    ]);
  });
});
