import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { fetchDebianPackages } from "../../support/debian-package.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

describe("fetchDebianPackages", () => {
  test("runs a program of another release, fetched once, and leaves nothing else", { timeout: 240_000 }, async () => {
    const temp = makeTempFolder();
    onTestFinished(() => {
      temp[Symbol.dispose]();
    });
    const wanted = { suite: "trixie", packages: ["valkey-server", "valkey-tools"], cache: temp.path };
    const roots = await Promise.all([fetchDebianPackages(wanted), fetchDebianPackages(wanted)]);
    expect(roots[0].path).toBe(roots[1].path);
    expect(readdirSync(temp.path)).toHaveLength(1);
    const [loader, ...rest] = roots[0].program("valkey-server").command;
    expect(execFileSync(loader, [...rest, "--version"], { encoding: "utf8" })).toMatch(/^Valkey server v=8\.1/);
    expect(() => roots[0].program("no-such-program")).toThrow(/expected the program no-such-program below/);
  });

  test("says what apt found when there is no such package", { timeout: 240_000 }, async () => {
    const temp = makeTempFolder();
    onTestFinished(() => {
      temp[Symbol.dispose]();
    });
    const wanted = { suite: "trixie", packages: ["no-such-package-of-debian"], cache: temp.path };
    await expect(fetchDebianPackages(wanted)).rejects.toThrow(
      /expected to fetch no-such-package-of-debian of trixie from Debian, found: E: Unable to locate package/,
    );
    expect(readdirSync(temp.path)).toEqual([]);
  });
});
