/** Nobody who may not have the network has it, shut in or not. Runs where bubblewrap does. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import type { PlanOrigin } from "../../../src/contract/stored-plan.ts";
import { sandboxFault } from "../../../src/worker/executor/sandbox.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

const fault = await sandboxFault();
const once1 = { exit: { attempts: 1 }, signal: { attempts: 1 } };

/** A server of this machine, and a node that says what it hears from it. */
async function speaker() {
  const server = createServer((socket) => socket.end("HELLO")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const talk = `use Socket; socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in(${port}, inet_aton("127.0.0.1"))) and print <S>; print "-"`;
  const call = (id: string, more: object = {}) => {
    const node = { id, kind: "exec" as const, command: ["/usr/bin/perl", "-e", talk], retry: once1 };
    return { ...node, output: { name: "o" }, ...more };
  };
  return { call, [Symbol.dispose]: () => void server.close() };
}

describe.skipIf(fault !== undefined)("a process without network", { timeout: 120_000 }, () => {
  test("is one whose node says so, whatever its sandbox; what says nothing keeps it", async () => {
    await using cluster = await FlowCluster.open();
    using speaks = await speaker();
    const nodes = [
      speaks.call("silent"),
      speaks.call("silent-files", { sandbox: "files" }),
      speaks.call("asked", { sandbox: "strict", network: true }),
      speaks.call("no", { network: false }),
      speaks.call("no-none", { network: false, sandbox: "none" }),
      speaks.call("no-files", { network: false, sandbox: "files" }),
      speaks.call("strict", { sandbox: "strict" }),
    ];
    const ended = await cluster.run({ nodes });
    const heard = nodes.filter(({ id }) => ended.text(id).includes("HELLO")).map(({ id }) => id);
    expect(heard).toEqual(["silent", "silent-files", "asked"]);
  });

  test("keeps its files and its user, and is ended, timed and told as any other", async () => {
    await using cluster = await FlowCluster.open();
    const seen = join(cluster.scratch.folder("base"), "seen");
    writeFileSync(seen, "SEEN ");
    const sh = (id: string, script: string, more: object = {}) => {
      const node = { id, kind: "exec" as const, command: ["/bin/sh", "-c", script], network: false, retry: once1 };
      return { ...node, output: { name: "o" }, ...more };
    };
    const ended = await cluster.run({
      nodes: [
        sh("files", `cat ${seen}; id -u; pwd; echo more >> ${seen}`),
        sh("signal", "sh -c 'kill -9 $$'"),
        sh("code", "exit 7"),
        sh("slow", "sleep 60", { timeout_seconds: 1, retry: { timeout: { attempts: 1 } } }),
        sh("rights", "grep CapEff /proc/self/status; unshare -U -r true || echo none"),
        sh("back", `nsenter -t ${process.pid} -n true 2>/dev/null || echo none`),
      ],
    });
    expect(ended.text("files")).toMatch(new RegExp(`^SEEN ${process.getuid?.() ?? 0}\n.*headroom-exec-.*\n$`));
    expect(ended.row("signal")).toMatchObject({ failureClass: "signal" });
    expect(ended.row("code")).toMatchObject({ failureClass: "exit", exitCode: 7 });
    expect(ended.row("slow")).toMatchObject({ failureClass: "timeout" });
    expect(ended.text("rights")).toBe("CapEff:\t0000000000000000\nnone\n");
    expect(ended.text("back")).toBe("none\n");
  });

  test("is every one where the operator of the worker says so, and a job that asks for it all the same is refused", async () => {
    await using cluster = await FlowCluster.open(0);
    await cluster.addWorker("closed", { allow: { network: false } });
    using speaks = await speaker();
    const nodes = [
      speaks.call("silent"),
      speaks.call("files", { sandbox: "files" }),
      speaks.call("asks", { network: true }),
    ];
    const ended = await cluster.run({ nodes });
    expect(ended.text("silent")).toBe("-");
    expect(ended.text("files")).toBe("-");
    expect(ended.row("asks")).toMatchObject({
      failureClass: "policy",
      message: "network: expected no network (allow.network), found true",
    });
  });

  test("is that of a plan which says nothing, unless the operator allows it; flows in flows too", async () => {
    await using cluster = await FlowCluster.open();
    using speaks = await speaker();
    const origin: PlanOrigin = {
      goal: "talk",
      planner: { name: "p", kind: "recorded", model: null },
      prompt: { version: "v1", sha256: "0".repeat(64) },
      spent: { calls: 1, repairs: 0, inputTokens: 1, outputTokens: 1, costUsd: null, isEstimated: false },
      acceptedAtMs: 1,
    };
    const inner = { version: 1, name: "inner", nodes: [speaks.call("deep")] };
    const nodes = [speaks.call("silent"), { id: "below", kind: "flow", file: "inner.json" }];
    const check = checkFlow({ version: 1, name: "plan", nodes }, { "inner.json": inner });
    if (check.kind === "faulty") throw new TypeError(JSON.stringify(check.faults));
    const setting = { inputs: {}, base: "/", binaries: {}, agents: {} };
    const folder = (id: string) => join(cluster.scratch.folder("runs"), id);
    const heardBy = async (client: typeof cluster.client, more: object) => {
      const run = await client.flows.start(check.flow, { ...setting, folder, ...more });
      const ended = await cluster.ended(run.id);
      const deep = await cluster.ended(`${run.id}~below`);
      return [ended.text("silent"), deep.text("deep")];
    };
    // The plan of a person, until it is known as that of a planner.
    expect(await heardBy(cluster.client, {})).toEqual(["HELLO-", "HELLO-"]);
    expect(await heardBy(cluster.client, { origin })).toEqual(["-", "-"]);
    expect(await heardBy(cluster.client, {})).toEqual(["-", "-"]);
    const open = await cluster.clientWith({ network: true });
    expect(await heardBy(open, { origin })).toEqual(["HELLO-", "HELLO-"]);
    await open.close();
    const closed = await cluster.clientWith({ network: false });
    expect(await heardBy(closed, {})).toEqual(["-", "-"]);
    expect(await heardBy(closed, { origin })).toEqual(["-", "-"]);
    await closed.close();
  });
});
