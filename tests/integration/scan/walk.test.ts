import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import {
  isScannedFile,
  type ScanBatch,
  type ScanProblem,
  type TreeInput,
} from "../../../src/platform/scan/scan-batch.ts";
import { walk, type WalkOptions } from "../../../src/platform/scan/walk.ts";
import { Scratch } from "../../support/scratch.ts";

const tree = (root: string, rules: Partial<TreeInput> = {}): TreeInput => ({
  kind: "tree",
  root,
  include: [],
  exclude: [],
  symlinks: "skip",
  hidden: false,
  ...rules,
});

async function collect(batches: AsyncIterable<ScanBatch>) {
  const files = new Map<string, number>();
  const problems: ScanProblem[] = [];
  let count = 0;
  for await (const batch of batches) {
    for (const entry of batch) {
      if (!isScannedFile(entry)) problems.push(entry);
      else files.set(entry.path, entry.bytes);
      count += Number(isScannedFile(entry));
    }
  }
  expect(count).toBe(files.size);
  return { paths: [...files.keys()].sort(), files, problems };
}

const scan = (root: string, rules: Partial<TreeInput> = {}, options: WalkOptions = {}) =>
  collect(walk(tree(root, rules), options));

/** Makes a folder unreadable for this process, root or not. */
function asNobody(folder: string): Disposable {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  else chmodSync(folder, 0);
  return {
    [Symbol.dispose]: () => {
      if (isRoot) process.seteuid?.(0);
      else chmodSync(folder, 0o755);
    },
  };
}

describe("walk", () => {
  test("finds every file with its size, and takes any name", async () => {
    using scratch = new Scratch();
    const names = ["plain", "a b", "new\nline", "-rf", "quo'te\"", "$(x)", "é", "😀", "a\\b", "{input}", "*", "\ufffd"];
    for (const [at, name] of names.entries()) scratch.file(`d/${name}`, at);
    const found = await scan(scratch.path);
    expect(found.problems).toEqual([]);
    expect(found.paths).toEqual(names.map((name) => `d/${name}`).sort());
    expect(found.files.get("d/😀")).toBe(names.indexOf("😀"));
  });

  test("carries names that are not UTF-8, of files and of folders", async () => {
    using scratch = new Scratch();
    const folder = Buffer.concat([Buffer.from(`${scratch.path}/`), Buffer.from([0xff])]);
    mkdirSync(folder);
    for (const byte of [0x61, 0xe9, 0xfe]) writeFileSync(Buffer.concat([folder, Buffer.from([0x2f, byte])]), "abc");
    scratch.file("ordinary");
    const found = await scan(scratch.path);
    expect(found.problems).toEqual([]);
    expect(found.paths).toEqual(["ordinary", "\udcff/a", "\udcff/\udce9", "\udcff/\udcfe"].sort());
    expect(found.files.get("\udcff/\udcfe")).toBe(3);
  });

  test("globs match the relative path, and an excluded folder goes with all below it", async () => {
    using scratch = new Scratch();
    for (const path of ["a.png", "b.txt", "s/a.png", "s/t/a.png", "s/t/c.png", "node_modules/x/a.png"])
      scratch.file(path);
    expect((await scan(scratch.path, { include: ["*.png"] })).paths).toEqual(["a.png"]);
    expect((await scan(scratch.path, { include: ["**/*.png"], exclude: ["node_modules", "**/c.*"] })).paths).toEqual([
      "a.png",
      "s/a.png",
      "s/t/a.png",
    ]);
    expect((await scan(scratch.path, { include: ["s/*/{a,c}.png", "b.txt"] })).paths).toEqual([
      "b.txt",
      "s/t/a.png",
      "s/t/c.png",
    ]);
  });

  test("hidden names are left out unless they are asked for", async () => {
    using scratch = new Scratch();
    for (const path of [".h", ".g/x", "v", ".headroom-tmp-1"]) scratch.file(path);
    expect((await scan(scratch.path)).paths).toEqual(["v"]);
    expect((await scan(scratch.path, { hidden: true })).paths).toEqual([".g/x", ".h", "v"]);
    expect((await scan(scratch.path, { include: [".g/*"] })).paths).toEqual([".g/x"]);
  });

  test("a pattern that is none is refused with its place", async () => {
    using scratch = new Scratch();
    await expect(scan(scratch.path, { include: ["ok", "a[b"] })).rejects.toThrow(
      /input\.include\[1\]: expected a glob/,
    );
  });

  test("leaves the output folder inside the input out, and refuses the input folder as output", async () => {
    using scratch = new Scratch();
    scratch.file("a");
    scratch.file("sub/out/a.output");
    const outputRoot = join(scratch.path, "sub/out");
    expect((await scan(scratch.path, {}, { outputRoot })).paths).toEqual(["a"]);
    symlinkSync(outputRoot, join(scratch.path, "link"));
    expect((await scan(scratch.path, { symlinks: "follow" }, { outputRoot })).paths).toEqual(["a"]);
    await expect(scan(scratch.path, {}, { outputRoot: `${scratch.path}/./` })).rejects.toThrow(InvalidInputError);
    expect((await scan(scratch.path, {}, { outputRoot: join(scratch.path, "not/yet") })).paths).toHaveLength(2);
  });

  test("an output folder below a file gets an error that says so", async () => {
    using scratch = new Scratch();
    const outputRoot = join(scratch.file("f"), "out");
    await expect(scan(scratch.path, {}, { outputRoot })).rejects.toThrow(
      `output: expected a folder that can be made at ${outputRoot}, found ENOTDIR`,
    );
  });

  test("a root that is missing or a file gets an error that says so", async () => {
    using scratch = new Scratch();
    const file = scratch.file("f");
    await expect(scan(join(scratch.path, "no"))).rejects.toThrow(/expected an existing folder, found .*ENOENT/);
    await expect(scan(file)).rejects.toThrow(/expected a folder \(files are given as a list\), found a file/);
  });
});

describe("walk over links", () => {
  function linked(): Scratch {
    const scratch = new Scratch();
    scratch.file("outside/secret", 5);
    scratch.file("in/real/f", 4);
    const at = (name: string) => join(scratch.path, "in", name);
    symlinkSync("real/f", at("to-file"));
    symlinkSync("real", at("to-folder"));
    symlinkSync("..", at("real/up"));
    symlinkSync(".", at("self"));
    symlinkSync("../outside", at("escape"));
    symlinkSync("/etc/passwd", at("escape-file"));
    symlinkSync("nowhere", at("dangling"));
    symlinkSync("loop", at("loop"));
    return scratch;
  }

  test("skip leaves them out", async () => {
    using scratch = linked();
    const found = await scan(join(scratch.path, "in"));
    expect(found.paths).toEqual(["real/f"]);
    expect(found.problems).toEqual([]);
  });

  test("refuse reports each", async () => {
    using scratch = linked();
    const found = await scan(join(scratch.path, "in"), { symlinks: "refuse" });
    expect(found.paths).toEqual(["real/f"]);
    expect(found.problems.map((problem) => problem.class)).toEqual(Array(8).fill("policy"));
  });

  test("follow stays inside, ends at loops and reports what it does not take", async () => {
    using scratch = linked();
    const found = await scan(join(scratch.path, "in"), { symlinks: "follow" });
    expect(found.paths).toEqual(["real/f", "to-file", "to-folder/f"]);
    expect(found.files.get("to-file")).toBe(4);
    const byPath = new Map(found.problems.map((problem) => [problem.path, problem]));
    expect([...byPath.keys()].sort()).toEqual(
      ["dangling", "escape", "escape-file", "loop", "real/up", "self", "to-folder/up"].sort(),
    );
    expect(byPath.get("escape")?.class).toBe("policy");
    expect(byPath.get("self")?.message).toMatch(/loop/);
    expect(byPath.get("dangling")?.message).toMatch(/one to nothing/);
  });

  test("a root that is a link is the folder it names", async () => {
    using scratch = new Scratch();
    scratch.file("real/f");
    symlinkSync("real", join(scratch.path, "root"));
    expect((await scan(join(scratch.path, "root"), { symlinks: "follow" })).paths).toEqual(["f"]);
  });
});

describe("walk over what is no file", () => {
  test("pipes and sockets are reported", async () => {
    using scratch = new Scratch();
    execFileSync("mkfifo", [join(scratch.path, "pipe")]);
    const server = createServer().listen(join(scratch.path, "socket"));
    await once(server, "listening");
    const found = await scan(scratch.path);
    server.close();
    expect(found.paths).toEqual([]);
    expect(found.problems.map((problem) => problem.path).sort()).toEqual(["pipe", "socket"]);
    expect(found.problems[0]).toMatchObject({ class: "bad-input", outcome: "failed" });
  });

  test("entries that vanish while the walk goes on are skipped with a problem", async () => {
    using scratch = new Scratch();
    for (let at = 0; at < 2_000; at += 1) scratch.file(`d/f${at}`);
    const found = { files: 0, problems: 0 };
    let isFirst = true;
    for await (const batch of walk(tree(scratch.path))) {
      if (isFirst) rmSync(join(scratch.path, "d"), { recursive: true });
      isFirst = false;
      const problems = batch.filter((entry) => !isScannedFile(entry));
      found.files += batch.length - problems.length;
      found.problems += problems.length;
      for (const problem of problems) expect(problem).toMatchObject({ outcome: "skipped" });
    }
    expect(found.files).toBeLessThan(2_000);
    expect(found.problems).toBeGreaterThan(0);
  });

  test("an unreadable folder is reported and the rest goes on", async () => {
    using scratch = new Scratch();
    scratch.file("locked/f");
    scratch.file("open/f");
    chmodSync(scratch.path, 0o755);
    chmodSync(join(scratch.path, "locked"), 0o700);
    using _nobody = asNobody(join(scratch.path, "locked"));
    const found = await scan(scratch.path);
    expect(found.paths).toEqual(["open/f"]);
    expect(found.problems).toEqual([
      {
        path: "locked",
        message: "expected a readable folder, found permission denied",
        class: "bad-input",
        outcome: "failed",
      },
    ]);
  });

  test("a tree deeper than a path can be long is reported where it ends", async () => {
    using scratch = new Scratch();
    const part = "d".repeat(200);
    execFileSync(
      "bash",
      ["-c", `i=0; while [ $i -lt 25 ]; do mkdir ${part} && cd -P ${part} && : > f || exit 0; i=$((i+1)); done`],
      {
        cwd: scratch.path,
      },
    );
    const found = await scan(scratch.path);
    // Node cannot remove it either.
    execFileSync("rm", ["-rf", join(scratch.path, part)]);
    expect(found.paths.length).toBeGreaterThan(15);
    expect(found.problems).toHaveLength(1);
    expect(found.problems[0]?.message).toMatch(/path too long/);
  });

  test("an aborted walk ends with the reason", async () => {
    using scratch = new Scratch();
    scratch.file("f");
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(scan(scratch.path, {}, { signal })).rejects.toThrow("enough");
  });
});

describe("walk over 50,000 files", () => {
  test("is fast and leaves the event loop free", async () => {
    using scratch = new Scratch();
    for (let at = 0; at < 50_000; at += 1) writeFileSync(join(scratch.path, `f${at}`), "");
    await scan(scratch.path);
    const lag = monitorEventLoopDelay({ resolution: 1 });
    lag.enable();
    const startedAt = performance.now();
    let files = 0;
    for await (const batch of walk(tree(scratch.path))) files += batch.length;
    const seconds = (performance.now() - startedAt) / 1_000;
    lag.disable();
    const p99 = lag.percentile(99) / 1e6;
    console.log(
      JSON.stringify({ files, filesPerSecond: Math.round(files / seconds), lagP99Ms: Number(p99.toFixed(2)) }),
    );
    expect(files).toBe(50_000);
    // A wide bound for a busy machine: the figure above is the one to read.
    expect(files / seconds).toBeGreaterThan(20_000);
    expect(p99).toBeLessThan(100);
  });
});
