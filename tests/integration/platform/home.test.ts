import { chmodSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { openHome, resolveHome } from "../../../src/platform/home.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

describe("home", () => {
  test("takes --home, then HEADROOM_HOME, then XDG_DATA_HOME, then the default", () => {
    const env = { HEADROOM_HOME: "/b", XDG_DATA_HOME: "/c" };
    expect(resolveHome({ home: "/a", env })).toBe("/a");
    expect(resolveHome({ env })).toBe("/b");
    expect(resolveHome({ env: { XDG_DATA_HOME: "/c" } })).toBe("/c/headroom");
    expect(resolveHome({ env: {} })).toBe(join(homedir(), ".local/share/headroom"));
    expect(resolveHome({ env: { XDG_DATA_HOME: "not/absolute" } })).toBe(join(homedir(), ".local/share/headroom"));
    expect(resolveHome({ home: "here", env })).toBe(join(process.cwd(), "here"));
  });

  test("refuses an empty name and says which one", () => {
    expect(() => resolveHome({ home: "", env: {} })).toThrow(/--home: expected the path of a folder, found ""/);
    expect(() => resolveHome({ env: { HEADROOM_HOME: " " } })).toThrow(/HEADROOM_HOME: expected/);
  });

  test("makes the folder for its owner alone, and leaves one that is there", () => {
    using temp = makeTempFolder();
    const home = join(temp.path, "a", "b");
    expect(openHome({ home, env: {} })).toBe(home);
    expect(statSync(home).mode & 0o777).toBe(0o700);
    chmodSync(home, 0o750);
    expect(openHome({ home, env: {} })).toBe(home);
    expect(statSync(home).mode & 0o777).toBe(0o750);
  });

  test("refuses a file, and a folder below a file", () => {
    using temp = makeTempFolder();
    const file = join(temp.path, "file");
    writeFileSync(file, "");
    const attempt = (home: string) => () => openHome({ home, env: {} });
    expect(attempt(file)).toThrow(InvalidInputError);
    expect(attempt(file)).toThrow(
      /--home: expected a folder at .*file that can be written, found something that is not/,
    );
    expect(attempt(join(file, "below"))).toThrow(/not a folder/);
  });

  test("refuses a folder that cannot be written", () => {
    // Nobody, root included, makes files in there.
    expect(() => openHome({ home: "/proc/sys", env: {} })).toThrow(/--home: expected a folder at .*, found E[A-Z]+:/);
  });

  test("refuses a place where nothing can be made", () => {
    // Nobody, root included, makes folders in /proc.
    expect(() => openHome({ home: "/proc/headroom", env: {} })).toThrow(
      /--home: expected a folder at \/proc\/headroom/,
    );
  });
});
