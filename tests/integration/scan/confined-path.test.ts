import { execFileSync } from "node:child_process";
import { renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InvalidInputError, PathEscapeError } from "../../../src/contract/errors.ts";
import { fsPath } from "../../../src/contract/path-bytes.ts";
import { openConfined, resolveConfined } from "../../../src/platform/confined-path.ts";
import { Scratch } from "../../support/scratch.ts";

function prepared(): Scratch {
  const scratch = new Scratch();
  scratch.file("root/a/f", "inside");
  scratch.file("secret", "outside");
  scratch.file("root-2/f", "beside");
  const at = (name: string) => join(scratch.path, "root", name);
  symlinkSync("../secret", at("file-out"));
  symlinkSync("..", at("folder-out"));
  symlinkSync("a/../../root-2", at("sibling"));
  symlinkSync("../not-there-yet", at("dangling-out"));
  symlinkSync("a", at("folder-in"));
  return scratch;
}

describe("confined path", () => {
  test.each(["", "..", "../secret", "a/../../secret", "/etc/passwd", "a\0b", "a/.."])(
    "%j is refused as text",
    (path) => {
      using scratch = prepared();
      expect(() => resolveConfined(join(scratch.path, "root"), path)).toThrow(PathEscapeError);
    },
  );

  test.each(["file-out", "folder-out/secret", "sibling/f", "dangling-out", "dangling-out/new", "folder-out/new"])(
    "%j is refused because a link leaves the root",
    (path) => {
      using scratch = prepared();
      expect(() => resolveConfined(join(scratch.path, "root"), path)).toThrow(PathEscapeError);
    },
  );

  test.each(["a/f", "folder-in/f", "new", "not/there/yet", "..a/b..", "a/./f", "\udcff"])("%j is allowed", (path) => {
    using scratch = prepared();
    const root = join(scratch.path, "root");
    expect(resolveConfined(root, path)).toBe(join(root, path));
  });

  test("a root that is a link, or has a name that is not UTF-8, is a root like any other", async () => {
    using scratch = prepared();
    symlinkSync("root", join(scratch.path, "alias"));
    expect(resolveConfined(join(scratch.path, "alias"), "a/f")).toBe(join(scratch.path, "alias/a/f"));
    const root = `${scratch.path}/r\udcff`;
    renameSync(join(scratch.path, "root"), fsPath(root));
    writeFileSync(fsPath(`${root}/x\udcfe`), "bytes");
    await using handle = await openConfined(root, "x\udcfe");
    expect(await handle.readFile("utf8")).toBe("bytes");
  });

  test("is cheap", () => {
    using scratch = prepared();
    const root = join(scratch.path, "root");
    const startedAt = performance.now();
    for (let round = 0; round < 2_000; round += 1) resolveConfined(root, "a/f");
    const microseconds = ((performance.now() - startedAt) / 2_000) * 1_000;
    console.log(JSON.stringify({ resolveConfinedMicroseconds: Math.round(microseconds) }));
    expect(microseconds).toBeLessThan(1_000);
  });

  test("opens regular files only", async () => {
    using scratch = prepared();
    const root = join(scratch.path, "root");
    execFileSync("mkfifo", [join(root, "pipe")]);
    await expect(openConfined(root, "a")).rejects.toThrow(InvalidInputError);
    await expect(openConfined(root, "pipe")).rejects.toThrow(InvalidInputError);
    await expect(openConfined(root, "file-out")).rejects.toThrow(PathEscapeError);
    await expect(openConfined(root, "no")).rejects.toThrow(/ENOENT/);
  });

  test("a link that is swapped in between never gives away what is outside", async () => {
    using scratch = prepared();
    const root = join(scratch.path, "root");
    const path = join(root, "swap");
    let opened = 0;
    for (let round = 0; round < 500; round += 1) {
      rmSync(path, { force: true });
      writeFileSync(path, "inside");
      const opening = openConfined(root, "swap");
      rmSync(path);
      symlinkSync("../secret", path);
      try {
        await using handle = await opening;
        expect(await handle.readFile("utf8")).toBe("inside");
        opened += 1;
      } catch (error) {
        // Between the removal and the link there is nothing; whatever else is refused is refused as an escape.
        const isGone = error instanceof Error && "code" in error && error.code === "ENOENT";
        expect(isGone || error instanceof PathEscapeError).toBe(true);
      }
    }
    console.log(JSON.stringify({ swaps: 500, openedInside: opened }));
  });
});
