/** What becomes of inputs and outputs: names, rules, changes, publication. */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pathToBytes } from "../../../../src/contract/path-bytes.ts";
import { LeaseLostError } from "../../../../src/contract/errors.ts";
import { crashDigest } from "../../../../src/platform/crash-digest.ts";
import { removeStaleTemps } from "../../../../src/worker/result/publish.ts";
import { ExecFixture } from "../../../support/exec-fixture.ts";

const sha256 = (content: string) => createHash("sha256").update(content).digest("hex");

describe("files through a binary", () => {
  let exec: ExecFixture;
  beforeEach(async () => {
    exec = await ExecFixture.open();
  });
  afterEach(async () => {
    await exec[Symbol.asyncDispose]();
  });

  test("carries any name: spaces, newlines, quotes, dashes, bytes that are not UTF-8", async () => {
    const names = ["a b", "new\nline", "quo'te\"s", "-n", "--help", "$HOME `id`", "sub/ümlaut", "sub/\udcff\udc80"];
    const files = names.map((path, index) => ({ index, path, bytes: 1 }));
    mkdirSync(join(exec.input, "sub"));
    for (const name of names) writeFileSync(Buffer.concat([Buffer.from(`${exec.input}/`), pathToBytes(name)]), name);
    const { results, end } = await exec.run(["/bin/cat", "{input}"], files);
    expect(end).toMatchObject({ kind: "done", notRun: [] });
    for (const name of names) {
      expect(results.get(name)).toMatchObject({ outcome: "succeeded", outputPath: `${name}.output` });
      const written = readFileSync(Buffer.concat([Buffer.from(`${exec.output}/`), pathToBytes(`${name}.output`)]));
      expect(written).toEqual(readFileSync(Buffer.concat([Buffer.from(`${exec.input}/`), pathToBytes(name)])));
    }
  });

  test("records digests, figures and the log of a process", async () => {
    const files = exec.files({ a: "content" });
    const { only } = await exec.run([exec.script("echo warned >&2; cat"), "{input}"], files, {
      spec: { output: { allowEmpty: true } },
    });
    expect(only).toMatchObject({
      outcome: "succeeded",
      exitCode: 0,
      attempts: 1,
      inputBytes: 7,
      inputSha256: sha256("content"),
      outputSha256: sha256(""),
      log: "warned\n",
      workerId: "worker-1",
    });
    expect(only.peakBytes).toBeGreaterThan(100_000);
    expect(only.durationMs).toBeGreaterThan(0);
    expect(Math.abs((only.startedAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  test("lets a command write its output file, and keeps none when told so", async () => {
    const files = exec.files({ a: "x" });
    const wrote = await exec.run([exec.script('cp "$1" "$2"'), "{input}", "{output}"], files, {
      spec: { output: { from: "file", name: "{dir}/{stem}.copy" } },
    });
    expect(wrote.only).toMatchObject({ outcome: "succeeded", outputPath: "a.copy" });
    const none = await exec.run(["/bin/true", "{input}"], files, { spec: { output: { from: "none" } } });
    expect(none.only).toMatchObject({ outcome: "succeeded", outputPath: null });
    expect(none.publications).toEqual([]);
    expect(exec.outputs()).toEqual(["a.copy"]);
  });

  test("fails inputs that are missing, a folder, too small or large, or a link that is not followed", async () => {
    exec.files({ "folder/x": "1", small: "", real: "content", large: "x".repeat(100) });
    symlinkSync("real", join(exec.input, "link"));
    symlinkSync("/etc/hostname", join(exec.input, "escape"));
    symlinkSync("loop", join(exec.input, "loop"));
    const names = ["gone", "folder", "small", "large", "link", "../out"];
    const files = names.map((path, index) => ({ index, path, bytes: 1 }));
    const inputRules = { minBytes: 1, maxBytes: 99 };
    const { results } = await exec.run(["/bin/cat", "{input}"], files, { spec: { inputRules } });
    expect(results.get("gone")).toMatchObject({
      failureClass: "bad-input",
      message: expect.stringContaining("found none") as string,
    });
    expect(results.get("folder")).toMatchObject({ failureClass: "bad-input" });
    expect(results.get("small")?.message).toBe("expected an input of at least 1 bytes, found 0");
    expect(results.get("large")?.message).toBe("expected an input of at most 99 bytes, found 100");
    expect(results.get("link")).toMatchObject({ failureClass: "policy" });
    expect(results.get("../out")).toMatchObject({ failureClass: "policy" });
    const followed = await exec.run(
      ["/bin/cat", "{input}"],
      ["link", "escape", "loop"].map((path, index) => ({ index, path, bytes: 1 })),
      { spec: { input: { kind: "tree", root: exec.input, symlinks: "follow" } } },
    );
    expect(followed.results.get("link")).toMatchObject({ outcome: "succeeded" });
    expect(followed.results.get("escape")).toMatchObject({ failureClass: "policy" });
    expect(followed.results.get("loop")).toMatchObject({ outcome: "failed", failureClass: "bad-input" });
    expect(exec.outputs()).toEqual(["link.output"]);
  });

  test("fails a file that changes or vanishes while its process runs", async () => {
    const files = exec.files({ changed: "1", vanished: "2" });
    const script = exec.script('case "$1" in *changed) echo more >> "$1";; *) rm "$1";; esac; echo out');
    const { results } = await exec.run([script, "{input}"], files);
    expect(results.get("changed")).toMatchObject({
      failureClass: "bad-input",
      message: expect.stringContaining("changed") as string,
    });
    expect(results.get("vanished")).toMatchObject({
      failureClass: "bad-input",
      message: expect.stringContaining("gone") as string,
    });
    expect(exec.outputs()).toEqual([]);
  });

  test("publishes nothing when a command writes nothing, half and fails, or too much", async () => {
    const files = exec.files({ a: "1" });
    const nothing = await exec.run(["/bin/true", "{input}"], files);
    expect(nothing.only).toMatchObject({
      failureClass: "bad-output",
      message: "expected an output that is not empty, found 0 bytes",
    });
    const missing = await exec.run(["/bin/true", "{input}", "{output}"], files, { spec: { output: { from: "file" } } });
    expect(missing.only).toMatchObject({
      failureClass: "bad-output",
      message: expect.stringContaining("no file") as string,
    });
    const half = await exec.run([exec.script("echo half; exit 3"), "{input}"], files);
    expect(half.only).toMatchObject({ failureClass: "exit", exitCode: 3, message: "expected exit code 0, found 3" });
    const large = await exec.run([exec.script("cat /dev/zero"), "{input}"], files, {
      spec: { output: { maxBytes: 1_000 } },
    });
    expect(large.only).toMatchObject({
      failureClass: "bad-output",
      message: "expected an output of at most 1000 bytes, found more",
    });
    expect(exec.outputs()).toEqual([]);
  });

  test("runs the check commands of input and output", async () => {
    const files = exec.files({ good: "good", bad: "bad" });
    const grep = ["/bin/grep", "-q", "good"];
    const input = await exec.run(["/bin/cat", "{input}"], files, {
      spec: { inputRules: { check: [...grep, "{input}"] } },
    });
    expect(input.results.get("good")).toMatchObject({ outcome: "succeeded" });
    expect(input.results.get("bad")).toMatchObject({ failureClass: "bad-input" });
    const output = await exec.run(["/bin/cat", "{input}"], files, {
      spec: { output: { name: "o/{name}", check: [...grep, "{output}"] } },
    });
    expect(output.results.get("good")).toMatchObject({ outcome: "succeeded" });
    expect(output.results.get("bad")).toMatchObject({
      failureClass: "bad-output",
      message: "expected the output check to exit with 0, found exit code 1",
    });
    expect(exec.outputs()).toEqual(["good.output", "o", "o/good"]);
  });

  test("leaves the old output and no temporary file when publication is refused", async () => {
    const files = exec.files({ a: "new" });
    writeFileSync(join(exec.output, "a.output"), "old");
    const { end, results } = await exec.run(["/bin/cat", "{input}"], files, {
      events: { mayPublish: (items) => Promise.resolve(items.map(() => false)) },
    });
    expect(end).toMatchObject({ kind: "done", fenced: files, notRun: [] });
    expect(results.size).toBe(0);
    expect(exec.read("a.output")).toBe("old");
    expect(exec.outputs()).toEqual(["a.output"]);
  });

  test("ends with lease-lost when a callback says so", async () => {
    const files = exec.files({ a: "1", b: "2" });
    const lost = new LeaseLostError("lost");
    const early = await exec.run(["/bin/cat", "{input}"], files, { events: { starting: () => Promise.reject(lost) } });
    expect(early.end).toMatchObject({ kind: "lease-lost", notRun: files, interrupted: [], error: lost });
    const late = await exec.run(["/bin/cat", "{input}"], files, { events: { mayPublish: () => Promise.reject(lost) } });
    expect(late.end.kind).toBe("lease-lost");
    expect(late.end.notRun.map((file) => file.path).sort()).toEqual(["a", "b"]);
    expect(exec.outputs()).toEqual([]);
  });

  test("adopts an output that an intent names, unless the input was touched since", async () => {
    const files = exec.files({ a: "1", b: "2" });
    await exec.run(["/bin/cat", "{input}"], files);
    const intents = new Map([
      ["a", sha256("1")],
      ["b", sha256("2")],
    ]);
    writeFileSync(join(exec.input, "b"), "3");
    const again = await exec.run(["/bin/cat", "{input}"], files, { request: { intents } });
    expect(again.starting.map((file) => file.path)).toEqual(["b"]);
    expect(again.results.get("a")).toMatchObject({ outcome: "succeeded", outputSha256: sha256("1"), durationMs: null });
    expect(exec.read("b.output")).toBe("3");
  });

  test("reuses outputs whose digests are all the same", async () => {
    const files = exec.files({ a: "1", b: "2", c: "3" });
    const first = await exec.run(["/bin/cat", "{input}"], files);
    writeFileSync(join(exec.input, "b"), "changed");
    rmSync(join(exec.output, "c.output"));
    const known = new Map(first.results);
    const again = await exec.run(["/bin/cat", "{input}"], files, { request: { known } });
    expect(again.reused).toEqual(["a"]);
    expect([...again.results.keys()].sort()).toEqual(["b", "c"]);
    const other = await exec.run(["/bin/cat", "-u", "{input}"], files, { request: { known } });
    expect(other.reused).toEqual([]);
  });

  test("does not run what is quarantined", async () => {
    const files = exec.files({ a: "1", b: "2" });
    const first = await exec.run(["/bin/cat", "{input}"], files);
    const a = first.results.get("a");
    const quarantined = new Set([(a && crashDigest(a)) ?? ""]);
    const again = await exec.run(["/bin/cat", "{input}"], files, { request: { quarantined } });
    expect(again.results.get("a")).toMatchObject({ outcome: "quarantined" });
    expect(again.starting.map((file) => file.path)).toEqual(["b"]);
  });

  test("does not run suspects beside others, and says how many workers were lost with each", async () => {
    const files = exec.files({ a: "1", b: "2", c: "3" });
    const first = await exec.run(["/bin/cat", "{input}"], files);
    const a = first.results.get("a");
    const suspects = new Map([[(a && crashDigest(a)) ?? "", 2]]);
    const again = await exec.run(["/bin/cat", "{input}"], files, { request: { suspects } });
    expect(again.starting.map((file) => file.path)).toEqual(["b", "c"]);
    expect(again.end).toMatchObject({
      kind: "done",
      notRun: [],
      postponed: [{ path: "a", tries: { "node-lost": 2 } }],
    });
  });

  test("makes a call of its own for each suspect", async () => {
    const files = exec
      .files({ a: "1", b: "2", c: "3" })
      .map((file, at) => (at === 0 ? file : { ...file, tries: { "node-lost": 1 } }));
    const { results } = await exec.run(["/bin/cat", "{inputs}"], files, { spec: { perChunk: true } });
    expect(files.map(({ path }) => results.get(path)?.outputPath)).toEqual(["a.output", "b.output", "c.output"]);
  });

  test("refuses outputs outside the root, on inputs, and under one name", async () => {
    const files = exec.files({ a: "1", b: "2" });
    const outside = await exec.run(["/bin/cat", "{input}"], files, { spec: { output: { name: "../{name}" } } });
    expect(outside.results.get("a")).toMatchObject({ failureClass: "policy" });
    const onInput = await exec.run(["/bin/cat", "{input}"], files, {
      spec: { output: { root: exec.input, name: "{name}" } },
    });
    expect(onInput.results.get("a")).toMatchObject({
      failureClass: "policy",
      message: expect.stringContaining("is no input") as string,
    });
    symlinkSync(exec.scratch.folder("elsewhere"), join(exec.output, "link"));
    const linked = await exec.run(["/bin/cat", "{input}"], files, { spec: { output: { name: "link/{name}" } } });
    expect(linked.results.get("a")).toMatchObject({ failureClass: "policy" });
    const same = await exec.run(["/bin/cat", "{input}"], files, { spec: { output: { name: "same" } } });
    expect([...same.results.values()].map((result) => result.failureClass)).toEqual(
      expect.arrayContaining([null, "bad-input"]),
    );
    expect(readFileSync(join(exec.input, "a"), "utf8")).toBe("1");
    expect(readdirSync(join(exec.scratch.path, "elsewhere"))).toEqual([]);
  });

  test("fails with infrastructure on a full disk, and leaves nothing there", async () => {
    const files = exec.files({ a: "x".repeat(200_000) });
    const disk = exec.scratch.folder("disk");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
    try {
      const { only } = await exec.run(["/bin/cat", "{input}"], files, { spec: { output: { root: disk } } });
      expect(only).toMatchObject({
        failureClass: "infrastructure",
        message: expect.stringContaining("no space left") as string,
      });
      expect(readdirSync(disk)).toEqual([]);
    } finally {
      execFileSync("umount", [disk]);
    }
  });

  test("names a binary that is missing, not executable, no program, or not the pinned one", async () => {
    const files = exec.files({ a: "1" });
    const missing = await exec.run(["/nowhere/binary", "{input}"], files);
    expect(missing.only).toMatchObject({
      failureClass: "infrastructure",
      message: expect.stringContaining("/nowhere/binary") as string,
    });
    const plain = exec.program("text");
    expect((await exec.run([plain, "{input}"], files)).only).toMatchObject({
      failureClass: "policy",
      message: expect.stringContaining("#!") as string,
    });
    chmodSync(plain, 0o644);
    expect((await exec.run([plain, "{input}"], files)).only).toMatchObject({
      failureClass: "policy",
      message: expect.stringContaining("executable") as string,
    });
    const pinned = await exec.run(["/bin/cat", "{input}"], files, { spec: { binarySha256: "0".repeat(64) } });
    expect(pinned.only).toMatchObject({
      failureClass: "policy",
      message: expect.stringContaining("expected /bin/cat with SHA-256") as string,
    });
  });

  test("fails a command that makes a folder of its output, and leaves nothing of it", async () => {
    const script = exec.script('mkdir "$2"; cp "$1" "$2/inside"');
    const made = { spec: { output: { from: "file" } } } as const;
    const { only } = await exec.run([script, "{input}", "{output}"], exec.files({ a: "1" }), made);
    expect(only).toMatchObject({ outcome: "failed", failureClass: "bad-output" });
    expect(exec.outputs()).toEqual([]);
  });

  test("makes one call for all files, and halves it until only the culprit fails", async () => {
    const files = exec.files({ a: "1", b: "2", bad: "3", d: "4", e: "5" });
    const script = exec.script('for f; do case "$f" in */bad) exit 4;; esac; cat "$f"; done');
    const { results, end } = await exec.run([script, "{inputs}"], files, { spec: { perChunk: true } });
    expect(end.kind).toBe("done");
    expect([...results.values()].filter((result) => result.outcome === "failed").map((result) => result.path)).toEqual([
      "bad",
    ]);
    expect(results.size).toBe(5);
    const written = exec
      .outputs()
      .map((name) => exec.read(name))
      .join("");
    expect(Array.from(written).sort().join("")).toBe("1245");
  });

  test("removes stale temporary files of one run only", async () => {
    exec.scratch.file("out/sub/.headroom-run-1-0-tok.tmp", "x");
    exec.scratch.file("out/.headroom-run-2-0-tok.tmp", "x");
    exec.scratch.file("out/.headroom-run-1-1-tok.tmp/made/by/the/command", "x");
    expect(await removeStaleTemps(exec.output, "run-1")).toEqual({ removed: 2, left: [] });
    expect(exec.outputs()).toEqual([".headroom-run-2-0-tok.tmp", "sub"]);
    expect(statSync(join(exec.output, "sub")).isDirectory()).toBe(true);
  });
});
