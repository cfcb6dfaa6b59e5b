/** Law 10 where processes start: the thread of the executor keeps the worker's policy by itself. */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ExecFixture, type ChunkOptions } from "../../../support/exec-fixture.ts";

const CAT = "/usr/bin/cat";

describe("policy of a worker", () => {
  test("no process starts for another binary, a check, a variable or a folder outside", async () => {
    await using exec = await ExecFixture.open((folder) => ({
      binaries: [{ path: CAT }],
      read: [join(folder, "in")],
      write: [join(folder, "out")],
    }));
    const trace = join(exec.scratch.path, "started");
    const script = exec.script(`echo started >> ${trace}; cat "$1"`);
    const files = exec.files({ a: "alpha" });
    const elsewhere = exec.scratch.folder("elsewhere");
    exec.scratch.file("elsewhere/a", "secret");
    const cases: readonly (readonly [string[], NonNullable<ChunkOptions["spec"]>, string])[] = [
      [[script, "{input}"], {}, "command[0]"],
      [["/bin/sh", "-c", `echo started >> ${trace}`, "{input}"], {}, "command[0]"],
      [[CAT, "{input}"], { inputRules: { check: [script, "{input}"] } }, "inputRules.check[0]"],
      [[CAT, "{input}"], { output: { check: [script, "{output}"] } }, "output.check[0]"],
      [[CAT, "{input}"], { env: { LD_PRELOAD: "/x.so" } }, "env.LD_PRELOAD"],
      [[CAT, "{input}"], { input: { kind: "list", root: elsewhere } }, "input.root"],
      [[CAT, "{input}"], { output: { root: join(exec.scratch.path, "out2") } }, "output.root"],
    ];
    for (const [command, spec, where] of cases) {
      const { only } = await exec.run(command, files, { spec: spec });
      expect(only).toMatchObject({ outcome: "failed", failureClass: "policy", attempts: 0, startedAtMs: null });
      expect(only.message).toContain(`${where}: expected `);
    }
    expect(existsSync(trace)).toBe(false);
    expect(existsSync(join(exec.scratch.path, "out2"))).toBe(false);
    const { only } = await exec.run([CAT, "{input}"], files);
    expect(only).toMatchObject({ outcome: "succeeded", outputPath: "a.output" });
  });

  test("another file under a pinned name is not started; the right one is", async () => {
    const content = '#!/bin/sh\ncat "$1"\n';
    const sha256 = createHash("sha256").update(content).digest("hex");
    await using exec = await ExecFixture.open((folder) => ({ binaries: [{ path: join(folder, "tool"), sha256 }] }));
    const files = exec.files({ a: "alpha" });
    const tool = exec.scratch.file("tool", content);
    chmodSync(tool, 0o755);
    expect((await exec.run([tool, "{input}"], files)).only).toMatchObject({
      outcome: "succeeded",
      binarySha256: sha256,
    });
    writeFileSync(tool, `${content}# changed\n`);
    const { only } = await exec.run([tool, "{input}"], files);
    expect(only).toMatchObject({ outcome: "failed", failureClass: "policy", startedAtMs: null });
    expect(only.message).toContain(`expected ${tool} with SHA-256 ${sha256}, found `);
    const check = await exec.run([CAT, "{input}"], files, { spec: { inputRules: { check: [tool, "{input}"] } } });
    expect(check.only).toMatchObject({ failureClass: "policy" });
  });

  test("a folder that becomes a link while the run goes on leads no file out", async () => {
    await using exec = await ExecFixture.open((folder) => ({ read: [join(folder, "in")] }));
    const files = exec.files({ "sub/a": "alpha", "sub/b": "beta" });
    const [sub, moved] = [join(exec.input, "sub"), join(exec.scratch.path, "moved")];
    exec.scratch.file("secret/b", "secret");
    const results = await exec.run([CAT, "{input}"], files, {
      spec: { chunk: { maxFiles: 1 } },
      events: {
        starting: (started) => {
          // The first file is prepared, and its folder known to be inside; the second one is read after this.
          if (started[0]?.path === "sub/a" && !existsSync(moved)) {
            renameSync(sub, moved);
            symlinkSync(join(exec.scratch.path, "secret"), sub);
          }
          return Promise.resolve();
        },
      },
    });
    expect(results.results.get("sub/b")).toMatchObject({ outcome: "failed" });
    expect(exec.outputs().join()).not.toContain("b.output");
  });

  test("an output is not published through a link that was made while the process ran", async () => {
    await using exec = await ExecFixture.open((folder) => ({ write: [join(folder, "out")] }));
    const files = exec.files({ a: "alpha" });
    const [target, outside] = [join(exec.output, "sub"), join(exec.scratch.path, "outside")];
    mkdirSync(outside);
    const script = exec.script(
      `cat "$1"; mv ${target} ${target}-old; cp ${target}-old/.headroom-* ${outside}; ln -s ${outside} ${target}`,
    );
    const { only } = await exec.run([script, "{input}"], files, { spec: { output: { name: "sub/{name}" } } });
    expect(only).toMatchObject({ outcome: "failed", failureClass: "policy" });
    expect(only.message).toContain("allow.write");
    expect(existsSync(join(outside, "a"))).toBe(false);
  });

  test("without a policy everything goes, as before", async () => {
    await using exec = await ExecFixture.open();
    const files = exec.files({ a: "alpha" });
    const { only } = await exec.run([exec.script('cat "$1"'), "{input}"], files, { spec: { env: { A: "b" } } });
    expect(only.outcome).toBe("succeeded");
    expect(readFileSync(join(exec.output, "a.output"), "utf8")).toBe("alpha");
  });
});
