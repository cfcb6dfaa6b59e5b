/** An agent works in the folder that its node names, as far as the operator's rules and the sandbox let it. */
import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { SandboxLevel } from "../../../src/contract/allow.ts";
import { sandboxFault } from "../../../src/worker/executor/sandbox.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const fault = await sandboxFault();
const levels: readonly SandboxLevel[] = fault === undefined ? ["none", "files", "strict"] : ["none"];

type Folder = string | { readonly path: string; readonly writable?: boolean };

/** An agent that is a shell; what it is asked is its script. */
const agents = { default: { command: ["/bin/sh", "-c", "{prompt}"] } };
const ask = (id: string, prompt: string, folder: Folder | undefined, more: object = {}) => ({
  ...{ id, kind: "agent" as const, prompt, ...(folder !== undefined && { folder }) },
  ...more,
});

describe("an agent", { timeout: 120_000 }, () => {
  test.each(levels)("works in its folder, at the level %s", async (sandbox) => {
    await using cluster = await FlowCluster.open();
    const repo = cluster.scratch.folder("repo");
    cluster.scratch.file("repo/sub/note", "in the repository\n");
    const nodes = [
      ask("read", "pwd; cat sub/note; touch new 2>/dev/null && echo wrote; true", "${inputs.repo}", { sandbox }),
      ask(
        "write",
        "pwd; echo mended > sub/note && echo wrote",
        { path: "${inputs.repo}", writable: true },
        {
          ...{ sandbox, needs: ["read"] },
        },
      ),
    ];
    const ended = await cluster.run({ inputs: { repo: {} }, nodes }, { agents, inputs: { repo } });
    expect(ended.outcomes).toEqual({ read: "succeeded", write: "succeeded" });
    // Without a sandbox nothing keeps a process from writing what its user may write.
    const wrote = sandbox === "none" ? "wrote\n" : "";
    expect(ended.text("read")).toBe(`${repo}\nin the repository\n${wrote}`);
    expect(ended.text("write")).toBe(`${repo}\nwrote\n`);
    expect(readFileSync(join(repo, "sub/note"), "utf8")).toBe("mended\n");
    expect(existsSync(join(repo, "new"))).toBe(sandbox === "none");
  });

  test.skipIf(fault !== undefined)(
    "that is shut in sees its folder, its scratch folder and nothing beside them",
    async () => {
      await using cluster = await FlowCluster.open();
      const repo = cluster.scratch.folder("data/repo");
      const secret = cluster.scratch.file("data/secret", "SECRET");
      symlinkSync(secret, join(repo, "link"));
      const script = `cat ../secret link ${secret}; ls ..; echo x > "$TMPDIR/x" && cat "$TMPDIR/x"`;
      const ended = await cluster.run(
        { nodes: [ask("a", `(${script}) 2>/dev/null`, repo, { sandbox: "files" })] },
        { agents },
      );
      expect(ended.text("a")).toBe("repo\nx\n");
    },
  );

  test("without a folder has an empty one of its own", async () => {
    await using cluster = await FlowCluster.open();
    const nodes = [
      ask("a", "ls -A; touch left; echo .", undefined),
      ask("b", "ls -A; echo .", undefined, { needs: ["a"] }),
    ];
    const ended = await cluster.run({ nodes }, { agents });
    expect([ended.text("a"), ended.text("b")]).toEqual([".\n", ".\n"]);
  });

  test("does not start where its folder is none, and is not tried again", async () => {
    await using cluster = await FlowCluster.open();
    const file = cluster.scratch.file("file", "x");
    const loop = join(cluster.scratch.path, "loop");
    symlinkSync(loop, loop);
    const cases: Record<string, readonly [path: string, found: string]> = {
      gone: [join(cluster.scratch.path, "gone"), "found nothing"],
      file: [file, "found a file"],
      below: [join(file, "x"), "found a path through a file"],
      loop: [loop, "found links that lead to one another"],
      root: ["/", "found the root folder or one of the kernel"],
      proc: ["/proc/self", "found the root folder or one of the kernel"],
    };
    const nodes = Object.entries(cases).map(([id, [path]]) => ask(id, "echo ran", path));
    const ended = await cluster.run({ nodes }, { agents });
    for (const [id, [path, found]] of Object.entries(cases)) {
      const failureClass = ["root", "proc"].includes(id) ? "policy" : "bad-input";
      const message = `folder.path: expected a folder to work in, ${found} at ${JSON.stringify(path)}`;
      expect(ended.row(id), id).toMatchObject({ outcome: "failed", failureClass, message, attempts: 0 });
    }
  });

  test("whose folder an expression makes no plain path, or one of its own run, has failed", async () => {
    await using cluster = await FlowCluster.open();
    const repo = cluster.scratch.folder("repo");
    const nodes = [
      ask("climbs", "echo ran", "${inputs.repo + '/../repo'}"),
      ask("relative", "echo ran", "${'repo'}"),
      ask("first", "echo first", undefined),
      ask("own", "echo ran", { path: "${run.folder}", writable: true }, { needs: ["first"] }),
    ];
    const ended = await cluster.run({ inputs: { repo: {} }, nodes }, { agents, inputs: { repo } });
    for (const id of ["climbs", "relative", "own"]) {
      expect(ended.row(id)).toMatchObject({ outcome: "failed", failureClass: "bad-input", attempts: 0 });
      expect(ended.row(id).message).toContain("folder.path: expected ");
    }
    expect(ended.row("own").message).toContain("a folder outside that of the run");
  });

  test("is refused by the worker a folder that its own rules do not have, links looked up", async () => {
    await using cluster = await FlowCluster.open(0);
    const [read, write] = [cluster.scratch.folder("read"), cluster.scratch.folder("write")];
    const outside = cluster.scratch.folder("outside");
    symlinkSync(outside, join(read, "out"));
    mkdirSync(join(read, "in"));
    symlinkSync(join(read, "in"), join(read, "link"));
    const allow = { read: [read, write], write: [write, cluster.scratch.folder("runs")] };
    await cluster.addWorker("strict", { allow });
    const nodes = [
      ask("outside", "echo ran", outside),
      ask("link-out", "echo ran", join(read, "out")),
      ask("writes", "echo ran", { path: read, writable: true }),
      ask("in", "pwd", join(read, "link")),
      ask("may-write", "pwd", { path: write, writable: true }),
    ];
    const ended = await cluster.run({ nodes }, { agents });
    expect(ended.outcomes).toEqual({
      ...{ outside: "failed", "link-out": "failed", writes: "failed" },
      ...{ in: "succeeded", "may-write": "succeeded" },
    });
    for (const [id, rule] of [
      ["outside", "read"],
      ["link-out", "read"],
      ["writes", "write"],
    ] as const) {
      expect(ended.row(id)).toMatchObject({ failureClass: "policy", attempts: 0 });
      expect(ended.row(id).message).toContain(`folder.path: expected a folder inside one of allow.${rule} (`);
    }
    expect(ended.row("link-out").message).toContain(`which is ${JSON.stringify(outside)}`);
    // What was looked up is where it works, whatever becomes of the link.
    expect(ended.text("in")).toBe(`${join(read, "in")}\n`);
  });

  test("is not run again in the same folder, and is in another one", async () => {
    await using cluster = await FlowCluster.open();
    const [one, other] = [cluster.scratch.folder("one"), cluster.scratch.folder("other")];
    const starts = cluster.scratch.file("starts", "");
    const nodes = [ask("a", `pwd >> ${starts}; echo ran`, "${inputs.repo}"), ask("b", "exit 1", one, { needs: ["a"] })];
    const id = await cluster.start({ inputs: { repo: {} }, nodes }, { agents, inputs: { repo: one } });
    await cluster.ended(id);
    const again = async (repo: string) => {
      await cluster.client.flows.resume(await cluster.client.status(id), { inputs: { repo } });
      await cluster.ended(id);
      return readFileSync(starts, "utf8").trim().split("\n");
    };
    expect(await again(one)).toEqual([one]);
    expect(await again(other)).toEqual([one, other]);
  });
});
