/** What is read of nodes that are ready, in how many round trips, and how jobs are added for them. */
import { expect } from "vitest";
import { unrunEnd, type PlannedNode } from "../../../../src/contract/flow-run.ts";
import { flowNode } from "../../../../src/contract/flows.ts";
import { keyPrefix, keys } from "../../../../src/contract/queues.ts";
import { parseRunSpec } from "../../../../src/contract/run-request.ts";
import { addCallJobs } from "../../../../src/platform/flow/call-jobs.ts";
import { groupCalls } from "../../../../src/platform/flow/call-groups.ts";
import { FlowState, type FlowAbout } from "../../../../src/platform/flow/flow-state.ts";
import { JobQueues } from "../../../../src/platform/job-queues.ts";
import { CommandMonitor } from "../../../support/command-monitor.ts";
import { deletePrefix, test } from "../../../support/redis.ts";

const ref = { runId: "r", epoch: 0, traceId: "t" };

function planned(id: string, index: number, needs: readonly string[], word = "x"): PlannedNode {
  const node = flowNode.parse({ id, kind: "exec", needs, command: ["/bin/echo", word] });
  return { node, index, reads: needs };
}

test("nodes come with the ends that they need in one round trip", async ({ redis, prefix }) => {
  const state = new FlowState(redis, keyPrefix(prefix), ref);
  await state.create({} as FlowAbout, [planned("a", 0, []), planned("b", 1, []), planned("c", 2, ["a", "b"])]);
  const end = unrunEnd("succeeded", "for the test");
  await state.settle([
    { path: "a", end },
    { path: "b", end },
  ]);
  // The server knows the script from then on.
  await state.withReads([]);
  await using monitor = await CommandMonitor.open(redis);
  const { nodes, ends } = await state.withReads(["c", "none"]);
  expect([...nodes.keys()]).toEqual(["c"]);
  expect(Object.fromEntries(ends)).toEqual({ a: end, b: end });
  const last = monitor.next(({ name }) => name === "echo");
  await redis.echo("last");
  await last;
  const own = monitor.sent.filter(({ args }) => args.some((one) => one.includes(prefix)));
  expect(own.map(({ name }) => name)).toEqual(["evalsha"]);
  await deletePrefix(redis, prefix);
});

test("a node that Lua cannot decode comes with its ends too", async ({ redis, prefix }) => {
  const state = new FlowState(redis, keyPrefix(prefix), ref);
  await state.create({} as FlowAbout, [planned("a", 0, []), planned("b", 1, ["a"], "\ud800")]);
  const end = unrunEnd("succeeded", "for the test");
  await state.settle([{ path: "a", end }]);
  const { nodes, ends } = await state.withReads(["b"]);
  expect([[...nodes.keys()], Object.fromEntries(ends)]).toEqual([["b"], { a: end }]);
  await deletePrefix(redis, prefix);
});

test("a node whose job is gone is given to one that looks for its row; one whose job goes on is left alone", async ({
  redis,
  prefix,
}) => {
  const kp = keyPrefix(prefix);
  const queues = new JobQueues(redis, kp);
  await new FlowState(redis, kp, ref).create({} as FlowAbout, [planned("a", 0, [])]);
  const output = { root: "/runs/artifacts", from: "none" as const };
  const spec = parseRunSpec({ command: ["/bin/echo"], input: { kind: "none" }, output });
  await queues.addRun(ref, spec, "scan");
  const add = () => addCallJobs({ redis, kp, queues }, ref, groupCalls([{ path: "a", index: 0, spec }]), false);
  const jobOf = async () => (await redis.hget(keys.flow(kp, ref.runId, ref.epoch), "c:a")) ?? "";
  expect(await add()).toBe(1);
  const first = await jobOf();
  expect(await add()).toBe(0);
  expect(await jobOf()).toBe(first);
  await redis.del(first);
  expect(await add()).toBe(1);
  expect(await redis.hget(await jobOf(), "data")).toMatch(/"chunk":"0-r/);
  await queues.close();
  await deletePrefix(redis, prefix);
});
