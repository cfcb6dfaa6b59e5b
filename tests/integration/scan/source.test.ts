import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSource } from "../../../src/platform/scan/source.ts";
import { parseInput } from "../../../src/platform/scan/input-argument.ts";
import { parseList } from "../../../src/platform/scan/list.ts";
import { isScannedFile, type ListInput, type ScanBatch } from "../../../src/platform/scan/scan-batch.ts";
import { Scratch } from "../../support/scratch.ts";

async function collect(batches: AsyncIterable<ScanBatch>) {
  const all = { files: [] as unknown[], problems: [] as unknown[] };
  for await (const batch of batches) {
    for (const entry of batch) (isScannedFile(entry) ? all.files : all.problems).push(entry);
  }
  return all;
}

describe("source", () => {
  test("a list is checked path by path; one that is named twice is one file", async () => {
    using scratch = new Scratch();
    scratch.file("a", 3);
    scratch.file("d/b", 2);
    symlinkSync("/etc/passwd", join(scratch.path, "escape"));
    symlinkSync("a", join(scratch.path, "link"));
    const pages = [
      ["a", "no"],
      ["d", "d/b", "./a", "d//b", "link", "escape", "../x"],
    ];
    const found = await collect(openSource({ kind: "list", root: scratch.path }, { pages }));
    expect(found.files).toEqual([
      { path: "a", bytes: 3 },
      { path: "d/b", bytes: 2 },
      { path: "link", bytes: 3 },
    ]);
    expect(found.problems).toMatchObject([
      { path: "no", class: "bad-input", outcome: "failed", message: "expected an existing file, found nothing there" },
      { path: "d", class: "bad-input", message: "expected a regular file, found a folder" },
      { path: "escape", class: "policy" },
      { path: "../x", class: "policy" },
    ]);
  });

  test("a list keeps to its rules; a hidden name that it holds is meant", async () => {
    using scratch = new Scratch();
    for (const path of ["a.txt", "d/b.txt", "d/c.png", "d/.h.txt"]) scratch.file(path);
    symlinkSync("a.txt", join(scratch.path, "link.txt"));
    symlinkSync("/etc/passwd", join(scratch.path, "out.txt"));
    symlinkSync("nothing", join(scratch.path, "dangling.txt"));
    symlinkSync("d", join(scratch.path, "e"));
    const paths = [
      "a.txt",
      "./d/b.txt",
      "d/c.png",
      "d/.h.txt",
      "link.txt",
      "out.txt",
      "dangling.txt",
      "no.txt",
      "e/b.txt",
    ];
    const look = (rules: Partial<ListInput>) =>
      collect(openSource({ kind: "list", root: scratch.path, paths, ...rules }));
    const chosen = await look({ include: ["**/*.txt"], exclude: ["d/b*", "*k.txt", "{out,no,dangling}.txt", "e/**"] });
    expect(chosen).toMatchObject({ files: [{ path: "a.txt" }, { path: "d/.h.txt" }], problems: [] });
    // A folder is excluded with all below it, as where it is walked.
    expect(
      (await look({ include: ["**/*.txt"], exclude: ["d", "e", "*k.txt", "{out,no,dangling}.txt"] })).files,
    ).toMatchObject([{ path: "a.txt" }]);
    const followed = await look({ symlinks: "follow" });
    expect(followed).toEqual(await look({}));
    expect(followed.files).toMatchObject(
      ["a.txt", "d/b.txt", "d/c.png", "d/.h.txt", "link.txt", "e/b.txt"].map((path) => ({ path })),
    );
    const refused = await look({ symlinks: "refuse" });
    // The folder before a name may be one: the name is what was asked for.
    expect(refused.files).toMatchObject(
      ["a.txt", "d/b.txt", "d/c.png", "d/.h.txt", "e/b.txt"].map((path) => ({ path })),
    );
    const links = ["link.txt", "out.txt", "dangling.txt"];
    expect(refused.problems).toMatchObject([
      ...links.map((path) => ({ path, message: "expected no symbolic link", class: "policy", outcome: "failed" })),
      { path: "no.txt" },
    ]);
    expect((await look({ symlinks: "skip" })).problems).toMatchObject([
      ...links.map((path) => ({ path, outcome: "skipped" })),
      { path: "no.txt", outcome: "failed" },
    ]);
  });

  test("a long list is yielded in batches", async () => {
    using scratch = new Scratch();
    const paths = Array.from({ length: 3_000 }, (_, at) => `f${at}`);
    for (const path of paths) scratch.file(path);
    const found = await collect(openSource({ kind: "list", root: scratch.path }, { pages: [paths] }));
    expect(found.files).toEqual(paths.map((path) => ({ path, bytes: 0 })));
  });

  test("a synthetic source makes a million names up in a moment", async () => {
    const startedAt = performance.now();
    let count = 0;
    let last = "";
    for await (const batch of openSource({ kind: "synthetic", root: "/", count: 1_000_001 })) {
      count += batch.length;
      last = batch.at(-1)?.path ?? "";
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    console.log(JSON.stringify({ syntheticPerSecond: Math.round(count / seconds) }));
    expect([count, last]).toEqual([1_000_001, "f1000000"]);
  });
});

describe("input argument", () => {
  test("a folder, a glob, a file and a list", () => {
    using scratch = new Scratch();
    const cwd = scratch.path;
    scratch.file("d/a[1].png");
    scratch.file("d/e/x");
    expect(parseInput("d", { cwd, rules: { hidden: true } })).toMatchObject({
      kind: "tree",
      input: { root: join(cwd, "d"), include: [], hidden: true },
    });
    expect(parseInput("d/**/*.png", { cwd }).input).toMatchObject({ root: join(cwd, "d"), include: ["**/*.png"] });
    expect(parseInput(`${cwd}/*/x`, { cwd: "/" }).input).toMatchObject({ root: cwd, include: ["*/x"] });
    expect(parseInput("d/a[1].png", { cwd })).toEqual({
      kind: "file",
      input: { kind: "list", root: join(cwd, "d") },
      paths: ["a[1].png"],
    });
    expect(parseInput("-", { cwd })).toEqual({ kind: "stdin", input: { kind: "list", root: cwd } });
    const rules = { include: ["*.png"], exclude: [], symlinks: "refuse" as const, hidden: true };
    for (const argument of ["-", "d/e/x"]) {
      const { input } = parseInput(argument, { cwd, rules });
      expect(input).toMatchObject({ kind: "list", include: ["*.png"], symlinks: "refuse" });
      expect(Object.keys(input)).not.toContain("hidden");
    }
  });

  test.each([
    ["", /expected a folder, a glob, a file or -, found nothing/],
    ["no", /expected an existing folder, glob or file, found nothing at "no"/],
    ["no/*.png", /found nothing at "no"/],
    ["f/*.png", /ENOTDIR/],
    ["d/*/../x*", /no \.\. behind/],
    ["d/*[x", /--input: expected a glob pattern \(missing closing: "\]".*found "d\/\*\[x"/],
    ["caf\ufffd", /names that are not UTF-8/],
  ])("%j is refused with what was expected and found", (argument, message) => {
    using scratch = new Scratch();
    scratch.file("f");
    mkdirSync(join(scratch.path, "d"));
    expect(() => parseInput(argument, { cwd: scratch.path, where: "--input" })).toThrow(message);
  });
});

test("in a folder whose path is not UTF-8 only absolute arguments are taken, and the reason is told", () => {
  using scratch = new Scratch();
  const folder = Buffer.concat([Buffer.from(`${scratch.path}/caf`), Buffer.of(0xe9)]);
  mkdirSync(folder);
  // As Node tells it.
  const cwd = folder.toString();
  for (const argument of [".", "a/*.png"]) {
    expect(() => parseInput(argument, { cwd, where: "--input" })).toThrow(
      /current folder: expected a path in UTF-8, or paths that are not relative to it, found ".*caf\ufffd"/,
    );
  }
  // Its names may be absolute ones: the list itself is looked at.
  expect(parseInput("-", { cwd }).kind).toBe("stdin");
  expect(parseInput(scratch.path, { cwd })).toMatchObject({ input: { root: scratch.path } });
  const named = scratch.folder("really-\ufffd");
  expect(parseInput(".", { cwd: named })).toMatchObject({ input: { root: named } });
});

describe("list", () => {
  async function parse(pieces: readonly Uint8Array[], separator: "auto" | "newline" | "nul" = "auto") {
    const stream = (async function* () {
      for (const piece of pieces) yield await Promise.resolve(piece);
    })();
    const all = { paths: [] as string[], faults: [] as { where: string }[] };
    for await (const page of parseList(stream, { root: "/in", separator })) {
      all.paths.push(...page.paths);
      all.faults.push(...page.faults);
    }
    return all;
  }

  test("newlines separate, cut at any byte", async () => {
    const bytes = Buffer.concat([Buffer.from("a\n./b//c\n\n/in/d e\n-x\né"), Buffer.from([0xff, 0x0a])]);
    const expected = ["a", "b/c", "d e", "-x", "é\udcff"];
    expect((await parse([bytes])).paths).toEqual(expected);
    expect(
      (
        await parse(
          [...bytes].map((byte) => Uint8Array.of(byte)),
          "newline",
        )
      ).paths,
    ).toEqual(expected);
    expect((await parse([...bytes].map((byte) => Uint8Array.of(byte)))).paths).toEqual(expected);
  });

  test("NUL separates when it comes, and newlines are then part of names", async () => {
    expect((await parse([Buffer.from("a\nb\0c"), Buffer.from("d\0")])).paths).toEqual(["a\nb", "cd"]);
    expect((await parse([Buffer.from("a\nb")], "nul")).paths).toEqual(["a\nb"]);
  });

  test("names outside the root, with .. or NUL, or without end are reported with their place", async () => {
    const long = Buffer.alloc(100_000, "x");
    const found = await parse(
      [Buffer.from("ok\n/etc/passwd\n../x\n/in\na\0b\n"), long, long, Buffer.from("\nlast")],
      "newline",
    );
    expect(found.paths).toEqual(["ok", "last"]);
    expect(found.faults.map((fault) => fault.where)).toEqual([2, 3, 4, 5, 6].map((at) => `list entry ${at}`));
  });

  test("a large list comes through whole", async () => {
    const names = Array.from({ length: 20_000 }, (_, at) => `folder/file-${at}`);
    const bytes = Buffer.from(names.join("\n"));
    const pieces = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, at) =>
      bytes.subarray(at * 65_536, (at + 1) * 65_536),
    );
    expect((await parse(pieces)).paths).toEqual(names);
  });
});
