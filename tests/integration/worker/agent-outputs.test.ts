/** An agent leaves a file where it works; that is its artifact, and its transcript stands beside it. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { SandboxLevel } from "../../../src/contract/allow.ts";
import { sandboxFault } from "../../../src/worker/executor/sandbox.ts";
import { FlowCluster, type EndedFlow } from "../../support/flow-cluster.ts";

const fault = await sandboxFault();
const levels: readonly SandboxLevel[] = fault === undefined ? ["none", "strict"] : ["none"];
const agents = { default: { command: ["/bin/sh", "-c", "{prompt}"] } };
const once = { "bad-output": { attempts: 1 }, exit: { attempts: 1 }, timeout: { attempts: 1 } };
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

const ask = (id: string, prompt: string, output: object, more: object = {}) => ({
  ...{ id, kind: "agent" as const, prompt, output, retry: once },
  ...more,
});

/** Everything in the artifacts folder of a node, temporary files too. */
function filesOf(ended: EndedFlow, id: string): string[] {
  const folder = join(ended.status.spec.output.root, id);
  return existsSync(folder) ? readdirSync(folder).toSorted() : [];
}

function transcriptOf(ended: EndedFlow, id: string): string {
  return readFileSync(join(ended.status.spec.output.root, id, "transcript.txt"), "utf8");
}

describe("an agent that names a file as its output", { timeout: 120_000 }, () => {
  test.each(levels)("leaves it and its transcript, with their digests, at the level %s", async (sandbox) => {
    await using cluster = await FlowCluster.open();
    const repo = cluster.scratch.folder("repo");
    const script = "mkdir -p out; echo '# all is well' > out/report.md; echo said";
    const nodes = [
      ask("own", script, { file: "out/report.md" }, { sandbox }),
      ask(
        "repo",
        script,
        { file: "out/${'report.md'}", name: "r.md" },
        { sandbox, folder: { path: repo, writable: true } },
      ),
      ask("json", `echo '{"open": 3}' > j`, { file: "j", json: true }, { sandbox }),
      {
        ...{ id: "reads", kind: "exec" as const, needs: ["own", "json"], output: { name: "o" }, sandbox },
        command: [
          "/bin/sh",
          "-c",
          'cat "$1"; echo "$2 $3"',
          "sh",
          "${nodes.own.output}",
          "${nodes.own.sha256}",
          "${nodes.json.result.open}",
        ],
      },
    ];
    const ended = await cluster.run({ nodes }, { agents });
    expect(ended.outcomes).toEqual({ own: "succeeded", repo: "succeeded", json: "succeeded", reads: "succeeded" });
    const report = "# all is well\n";
    expect(ended.row("own")).toMatchObject({
      ...{ outputPath: "own/report.md", outputBytes: report.length, outputSha256: sha256(report) },
      transcript: { path: "own/transcript.txt", bytes: 5, sha256: sha256("said\n") },
    });
    expect([ended.text("own"), ended.text("repo")]).toEqual([report, report]);
    expect([transcriptOf(ended, "own"), transcriptOf(ended, "json")]).toEqual(["said\n", ""]);
    expect(filesOf(ended, "own")).toEqual(["report.md", "transcript.txt"]);
    expect(filesOf(ended, "repo")).toEqual(["r.md", "transcript.txt"]);
    expect(readFileSync(join(repo, "out/report.md"), "utf8")).toBe(report);
    expect(ended.text("reads")).toBe(`${report}${sha256(report)} 3\n`);
    const markdown = readFileSync(join(ended.status.spec.output.root, "../report.md"), "utf8");
    for (const [path, text] of [
      ["own/report.md", report],
      ["own/transcript.txt", "said\n"],
    ] as const) {
      expect(markdown).toMatch(new RegExp(`artifacts/${path}.*${sha256(text)}`));
    }
    expect(ended.status.report?.flow?.artifacts?.count).toBe(7);
  });

  test("and leaves none, or no plain file, has failed with its transcript", async () => {
    await using cluster = await FlowCluster.open();
    const secret = cluster.scratch.file("secret", "SECRET");
    const outside = cluster.scratch.folder("outside");
    cluster.scratch.file("outside/report", "SECRET");
    const cases: Record<string, readonly [script: string, file: string, failureClass: string, found: string]> = {
      none: ["true", "report", "bad-output", "a file, found nothing"],
      folder: ["mkdir report", "report", "bad-output", "a regular file, found something else"],
      pipe: ["mkfifo report", "report", "bad-output", "a regular file, found something else"],
      empty: ["touch report", "report", "bad-output", "an output that is not empty, found 0 bytes"],
      through: ["touch a", "a/report", "bad-output", "found a path through a file"],
      loop: ["ln -s report report", "report", "bad-output", "links that lead to one another"],
      link: [`ln -s ${secret} report`, "report", "policy", "a link that leads out of it"],
      "link-folder": [`ln -s ${outside} out`, "out/report", "policy", "a link that leads out of it"],
      dangling: [`ln -s ${outside}/none report`, "report", "policy", "a link that leads out of it"],
      proc: ["ln -s /proc/self/environ report", "report", "policy", "a link that leads out of it"],
    };
    const nodes = Object.entries(cases).map(([id, [script, file]]) => ask(id, `${script}; echo said`, { file }));
    const ended = await cluster.run({ nodes }, { agents });
    for (const [id, [, , failureClass, found]] of Object.entries(cases)) {
      const row = ended.row(id);
      expect(row, id).toMatchObject({
        outcome: "failed",
        failureClass,
        outputPath: `${id}/transcript.txt`,
        attempts: 1,
      });
      expect(row.message, id).toContain(found);
      expect(row.transcript, id).toBeUndefined();
      expect([ended.text(id), filesOf(ended, id)], id).toEqual(["said\n", ["transcript.txt"]]);
    }
  });

  test("may leave a link that stays inside", async () => {
    await using cluster = await FlowCluster.open();
    const nodes = [ask("a", "echo good > real; ln -s real report", { file: "report" })];
    expect((await cluster.run({ nodes }, { agents })).text("a")).toBe("good\n");
  });

  test("publishes nothing of an attempt that failed, and the whole of the one that did not", async () => {
    await using cluster = await FlowCluster.open();
    const flag = join(cluster.scratch.path, "flag");
    const script = `[ -e ${flag} ] && { echo whole > report; echo second; exit 0; }; touch ${flag}; echo part > report; echo first; exit 3`;
    const nodes = [
      ask("again", script, { file: "report" }, { retry: { exit: { attempts: 2, backoff_ms: 1 } } }),
      ask("fails", "echo part > report; echo said; exit 3", { file: "report" }),
      ask("late", "echo part > report; echo said; exec sleep 1000", { file: "report" }, { timeout_seconds: 0.5 }),
      ask("words", "echo no > report; echo said", { file: "report", json: true }),
    ];
    const ended = await cluster.run({ nodes }, { agents });
    expect(ended.row("again")).toMatchObject({ outcome: "succeeded", attempts: 2 });
    expect([ended.text("again"), transcriptOf(ended, "again")]).toEqual(["whole\n", "second\n"]);
    for (const [id, failureClass] of [
      ["fails", "exit"],
      ["late", "timeout"],
      ["words", "bad-output"],
    ] as const) {
      expect(ended.row(id)).toMatchObject({ outcome: "failed", failureClass, outputPath: `${id}/transcript.txt` });
      expect(filesOf(ended, id)).toEqual(["transcript.txt"]);
    }
  });

  test("is not run again while the file stands, and is when it is gone", async () => {
    await using cluster = await FlowCluster.open();
    const starts = cluster.scratch.file("starts", "");
    const nodes = [
      ask("a", `echo x >> ${starts}; echo r > report`, { file: "report" }),
      ask("b", "exit 1", {}, { needs: ["a"] }),
    ];
    const id = await cluster.start({ nodes }, { agents });
    const first = await cluster.ended(id);
    const again = async () => {
      await cluster.client.resume(id);
      const ended = await cluster.ended(id);
      expect(ended.row("a").transcript).toEqual(first.row("a").transcript);
      return readFileSync(starts, "utf8").length / 2;
    };
    expect(await again()).toBe(1);
    unlinkSync(join(first.status.spec.output.root, "a/report"));
    expect(await again()).toBe(2);
  });

  test("that an expression makes a path that climbs has failed before it starts", async () => {
    await using cluster = await FlowCluster.open();
    const secret = cluster.scratch.folder("secret");
    const nodes = ["../x", "/etc/hosts", "a/../../x", "x/", "transcript.txt"].map((file, at) =>
      ask(`n${at}`, `echo ${secret}`, { file: `\${inputs.f${at}}` }, {}),
    );
    const inputs = Object.fromEntries(
      ["../x", "/etc/hosts", "a/../../x", "x/", "transcript.txt"].map((file, at) => [`f${at}`, file]),
    );
    const declared = Object.fromEntries(Object.keys(inputs).map((name) => [name, {}]));
    const ended = await cluster.run({ inputs: declared, nodes }, { agents, inputs });
    for (const row of ended.rows) {
      expect(row).toMatchObject({ outcome: "failed", failureClass: "bad-input", attempts: 0 });
      expect(row.message).toContain("output.file: expected ");
    }
  });
});

test.skipIf(fault !== undefined)(
  "a link out of the sandbox is no output, however it is made",
  { timeout: 60_000 },
  async () => {
    await using cluster = await FlowCluster.open();
    const repo = cluster.scratch.folder("repo");
    const secret = cluster.scratch.file("secret", "SECRET");
    symlinkSync(secret, join(repo, "report"));
    const node = ask("a", "echo said", { file: "report" }, { folder: repo, sandbox: "strict" });
    const ended = await cluster.run({ nodes: [node] }, { agents });
    expect(ended.row("a")).toMatchObject({ outcome: "failed", failureClass: "policy" });
    expect(filesOf(ended, "a")).toEqual(["transcript.txt"]);
  },
);
