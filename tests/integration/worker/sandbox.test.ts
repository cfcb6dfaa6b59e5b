/**
 * Ways out of the sandbox, each tried from inside it, and each tried without it to prove that it is one. Runs where bubblewrap
 * does; a machine without it has no such workers.
 */
import { createServer } from "node:net";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { SandboxLevel } from "../../../src/contract/allow.ts";
import { hasSystemCallFilter, sandboxFault } from "../../../src/worker/executor/sandbox.ts";
import { processesWith } from "../../support/exec-fixture.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const fault = await sandboxFault();
const once1 = { exit: { attempts: 1 }, signal: { attempts: 1 }, "bad-output": { attempts: 1 } };

function sh(id: string, script: string, sandbox: SandboxLevel, more: object = {}) {
  const command = ["/bin/sh", "-c", script];
  return { id, kind: "exec" as const, command, output: { name: "o" }, retry: once1, sandbox, ...more };
}

interface Attack {
  readonly script: string;
  /** Made before; what the attack may reach without a sandbox. */
  readonly inside: (output: string) => boolean;
}

describe.skipIf(fault !== undefined)("a process that is shut in", { timeout: 120_000 }, () => {
  test("cannot reach what is not its own, and could without the sandbox", async () => {
    await using cluster = await FlowCluster.open();
    const folder = cluster.scratch.folder("others");
    writeFileSync(join(folder, "secret"), "TOP SECRET");
    symlinkSync(join(folder, "secret"), join(folder, "link"));
    const server = createServer((socket) => socket.end("HELLO")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const perl = (code: string) => `/usr/bin/perl -e '${code}' 2>&1; true`;
    const talk = `use Socket; socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in(${port}, inet_aton("127.0.0.1"))) and print <S>; print "-"`;
    const attacks: Readonly<Record<string, Attack>> = {
      shadow: { script: "cat /etc/shadow; echo -", inside: (text) => text.includes("root:") },
      path: { script: `cat ${folder}/secret; echo -`, inside: (text) => text.includes("SECRET") },
      link: { script: `ln -s ${folder}/link x; cat x; echo -`, inside: (text) => text.includes("SECRET") },
      root: {
        script: `cat /proc/${process.pid}/root${folder}/secret; echo -`,
        inside: (text) => text.includes("SECRET"),
      },
      write: { script: `echo x > ${folder}/written; echo -`, inside: () => existsSync(join(folder, "written")) },
      system: {
        script: "touch /usr/headroom-was-here && rm /usr/headroom-was-here && echo WROTE; echo -",
        inside: (text) => text.includes("WROTE"),
      },
      network: { script: perl(talk), inside: (text) => text.includes("HELLO") },
      // 0: there is such a process, and it may be signalled.
      parent: { script: `kill -0 ${process.pid} && echo REACHED; echo -`, inside: (text) => text.includes("REACHED") },
      trace: {
        script: `test -e /proc/${process.pid}/mem && echo SEEN; echo -`,
        inside: (text) => text.includes("SEEN"),
      },
      rights: {
        script: "grep -q '^NoNewPrivs:.1' /proc/self/status || echo RIGHTS; echo -",
        inside: (text) => text.includes("RIGHTS"),
      },
      namespaces: { script: "unshare -U -r true && echo NEW; echo -", inside: (text) => text.includes("NEW") },
    };
    try {
      for (const level of ["strict", "none"] as const) {
        const nodes = Object.entries(attacks).map(([id, { script }]) => sh(id, script, level));
        const ended = await cluster.run({ nodes });
        const escaped = Object.entries(attacks).filter(([id, { inside }]) => inside(ended.text(id)));
        expect(escaped.map(([id]) => id)).toEqual(level === "strict" ? [] : Object.keys(attacks));
      }
    } finally {
      server.close();
    }
  });

  test.skipIf(!hasSystemCallFilter)("asks for no system call that programs over files do without", async () => {
    await using cluster = await FlowCluster.open();
    const [keyctl, mount] = process.arch === "x64" ? [250, 165] : [219, 40];
    const tries = `use Errno; for (@ARGV) { my $r = syscall($_, 0, 0, 0, 0, 0); print $r < 0 ? $!{EPERM} ? "EPERM " : "$! " : "$r " }`;
    const ended = await cluster.run({
      nodes: [
        sh("mode", "grep Seccomp: /proc/self/status", "files"),
        sh("calls", `/usr/bin/perl -e '${tries}' ${keyctl} ${mount} 425 435`, "files"),
        sh("threads", "cat /etc/passwd | sort | head -n 1 | wc -l", "strict"),
      ],
    });
    expect(ended.text("mode")).toBe("Seccomp:\t2\n");
    expect(ended.text("calls")).toBe("EPERM EPERM Function not implemented Function not implemented ");
    expect(ended.text("threads")).toBe("1\n");
  });

  test("sees its inputs and what it reads of other nodes, writes its output, and is measured", async () => {
    await using cluster = await FlowCluster.open();
    const input = cluster.scratch.folder("base/in");
    for (const name of ["a", "b"]) writeFileSync(join(input, name), name.toUpperCase());
    mkdirSync(join(input, "deep"));
    writeFileSync(join(input, "deep", "c"), "C");
    const hungry = `/usr/bin/perl -e '$x = "y" x 60_000_000; sleep 1; print length $x'`;
    const ended = await cluster.run({
      nodes: [
        { id: "sums", kind: "files", command: ["/usr/bin/sha256sum", "{input}"], input: "in", sandbox: "strict" },
        sh("first", "echo first; id -u; pwd; cat /proc/self/status | grep CapEff", "strict"),
        sh("then", "cat ${nodes.first.output}; ls ${nodes.sums.output}", "files", { needs: ["first", "sums"] }),
        sh("each", "echo ${item}", "strict", { foreach: ["x", "y"] }),
        sh("all", "cat ${nodes.each.items[0].output} ${nodes.each.items[1].output}", "strict", { needs: ["each"] }),
        sh("hungry", hungry, "strict"),
        sh("file", 'echo made > "$0"', "strict", {
          command: ["/bin/sh", "-c", 'echo made > "$0"', "{output}"],
        }),
      ],
    });
    expect(ended.outcomes).toEqual({
      ...{ sums: "succeeded", first: "succeeded", then: "succeeded", "each/0": "succeeded", "each/1": "succeeded" },
      ...{ all: "succeeded", hungry: "succeeded", file: "succeeded" },
    });
    expect(ended.text("first")).toMatch(/^first\n65534\n.*headroom-exec-.*\nCapEff:\t0{16}\n$/);
    expect(ended.text("then")).toContain("first\n");
    expect(ended.text("then")).toContain("a.output");
    expect(ended.text("all")).toBe("x\ny\n");
    expect(ended.text("file")).toBe("made\n");
    expect(ended.row("hungry").peakBytes).toBeGreaterThan(60_000_000);
  });

  test("is ended with all that it has started, however that hides", async () => {
    await using cluster = await FlowCluster.open();
    const mark = `sandbox-stray-${process.pid}`;
    const script = `/usr/bin/perl -e 'use POSIX; unless (fork) { setsid; unless (fork) { $0 = "${mark}"; sleep 300 } exit } ' ; sleep 0.2; echo done`;
    const ended = await cluster.run({ nodes: [sh("stray", script, "strict")] });
    expect(ended.outcomes).toEqual({ stray: "succeeded" });
    await expect.poll(() => processesWith(mark)).toEqual([]);
  });

  test("waits for a worker that can shut it in, and is told so", async () => {
    await using cluster = await FlowCluster.open(0);
    await cluster.addWorker("open", { labels: [] });
    writeFileSync(join(cluster.scratch.folder("base/files"), "a"), "A");
    const command = ["/usr/bin/wc", "{input}"];
    const id = await cluster.start({
      nodes: [
        sh("in", "echo in", "strict"),
        sh("out", "echo out", "none"),
        { id: "sums", kind: "files", command, input: "files", sandbox: "strict" },
      ],
    });
    await expect.poll(async () => (await cluster.client.status(id)).counts.succeeded, { timeout: 20_000 }).toBe(1);
    const lacks = { code: "no-worker-with-labels", need: "sandbox", have: "none" };
    const message = expect.stringMatching(/labels that are needed: sandbox; .*install bubblewrap there/) as unknown;
    // Of the call of a node, and of the run of a node over files.
    for (const run of [id, `${id}~sums`]) {
      const { reasons } = await cluster.client.explain(run);
      expect(reasons).toContainEqual(expect.objectContaining({ ...lacks, message }));
    }
    expect((await cluster.client.explain(id)).reasons).toContainEqual(
      expect.objectContaining({ code: "queued-behind", where: expect.stringMatching(/^queue exec\./) as unknown }),
    );
    await cluster.addWorker("closed");
    const ended = await cluster.ended(id);
    expect(ended.row("in")).toMatchObject({ outcome: "succeeded", workerId: "closed" });
    expect(readFileSync(join(ended.status.spec.output.root, "in/o"), "utf8")).toBe("in\n");
  });
});
