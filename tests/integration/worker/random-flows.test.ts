/**
 * Random graphs, with random rules of edges, failures, fan-outs, conditions and cancels, on a real Redis: every node reaches
 * one outcome, the one that its rules give it; none runs before what it needs has ended; nothing is left behind. More
 * graphs: FLOW_GRAPHS=2000.
 */
import { describe, expect, test } from "vitest";
import type { FlowDocumentInput } from "../../../src/contract/flows.ts";
import { keys } from "../../../src/contract/queues.ts";
import type { EndedFlow } from "../../support/flow-cluster.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";
import { seeded } from "../../support/seeded.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";

const GRAPHS = Number(process.env["FLOW_GRAPHS"] ?? 60);
const SEED = Number(process.env["FLOW_SEED"] ?? 20_261_127);
const AT_ONCE = 20;
const MAX_NODES = 40;
/** So that what a lost worker held is soon found. */
const LOST_LOCK_MS = 2_000;

type Rule = "success" | "failure" | "always";
interface RandomNode {
  readonly id: string;
  readonly needs: readonly { readonly node: string; readonly on: Rule }[];
  readonly fails: boolean;
  /** Undefined: no fan-out. */
  readonly items: readonly boolean[] | undefined;
  readonly when: boolean | undefined;
}

function randomGraph(random: () => number): RandomNode[] {
  const count = 1 + Math.floor(random() * MAX_NODES);
  const rules: readonly Rule[] = ["success", "success", "success", "failure", "always", "always"];
  return Array.from({ length: count }, (_, at) => {
    const degree = at === 0 ? 0 : Math.floor(random() * 4);
    const needed = new Set(Array.from({ length: degree }, () => Math.floor(random() * at)));
    return {
      id: `n${at}`,
      needs: [...needed].map((node) => ({
        node: `n${node}`,
        on: rules[Math.floor(random() * rules.length)] ?? "always",
      })),
      fails: random() < 0.2,
      items: random() < 0.1 ? Array.from({ length: Math.floor(random() * 5) }, () => random() < 0.1) : undefined,
      when: random() < 0.1 ? random() < 0.5 : undefined,
    };
  });
}

function toNodes(graph: readonly RandomNode[]): FlowDocumentInput["nodes"] {
  return graph.map(({ id, needs, fails, items, when }) => ({
    ...{ id, kind: "exec" as const, needs: [...needs], retry: { exit: { attempts: 1 } } },
    resources: { cpu: 0.1, memory: "8MiB" },
    command: items === undefined ? [fails ? "/bin/false" : "/bin/true"] : ["${item}"],
    ...(items !== undefined && { foreach: items.map((isBad) => (isBad ? "/bin/false" : "/bin/true")) }),
    ...(when !== undefined && { when: String(when) }),
  }));
}

/** How each node must end when nobody cancels the run: a second reading of the rules, one node after the other. */
function expectedOf(graph: readonly RandomNode[]): Readonly<Record<string, string>> {
  const ends = new Map<string, string>();
  const rows: Record<string, string> = {};
  for (const { id, needs, fails, items, when } of graph) {
    const isMet = needs.every(({ node, on }) => {
      const end = ends.get(node);
      return on === "always" || (on === "success" ? end === "succeeded" : end === "failed");
    });
    if (!isMet || when === false) rows[id] = "skipped";
    else if (items === undefined) rows[id] = fails ? "failed" : "succeeded";
    else if (items.length === 0) rows[id] = "succeeded";
    if (rows[id] !== undefined) ends.set(id, rows[id]);
    else {
      items?.forEach((isBad, at) => (rows[`${id}/${at}`] = isBad ? "failed" : "succeeded"));
      ends.set(id, items?.some((isBad) => isBad) === true ? "failed" : "succeeded");
    }
  }
  return rows;
}

/** No node that ran did so before the last of those that it needs had ended. */
function expectOrder(graph: readonly RandomNode[], { rows }: EndedFlow): void {
  const endedMs = new Map<string, number>();
  for (const row of rows) {
    const id = row.path.split("/")[0] ?? "";
    if (row.startedAtMs !== null)
      endedMs.set(id, Math.max(endedMs.get(id) ?? 0, row.startedAtMs + (row.durationMs ?? 0)));
  }
  for (const row of rows) {
    const node = graph.find(({ id }) => id === row.path.split("/")[0]);
    if (row.startedAtMs === null) continue;
    // Both times come of clocks in milliseconds.
    for (const { node: need } of node?.needs ?? [])
      expect(row.startedAtMs + 2).toBeGreaterThanOrEqual(endedMs.get(need) ?? 0);
  }
}

/** Keys in Redis that a run which has ended must not have left. */
async function leftOf(cluster: FlowCluster, runId: string): Promise<string[]> {
  const jobs: string[] = [];
  for await (const found of cluster.redis.scanStream({ match: `${cluster.kp}:*${runId}*`, count: 1_000 })) {
    jobs.push(...(found as string[]));
  }
  const known = [keys.run(cluster.kp, runId), keys.events(cluster.kp, runId), keys.flow(cluster.kp, runId, 0)];
  const open = await Promise.all(
    jobs
      .filter((key) => !known.includes(key))
      .map(async (key) => {
        const isEnded =
          (await cluster.redis.type(key)) === "hash" && (await cluster.redis.hexists(key, "finishedOn")) === 1;
        return isEnded ? [] : [key];
      }),
  );
  return open.flat();
}

/** Cancels a run when so many of its nodes have ended, or the run has. */
async function cancelWhen({ client }: FlowCluster, id: string, doneNodes: number): Promise<void> {
  for await (const _ of client.events(id)) {
    if ((await client.status(id)).progress.doneFiles >= doneNodes) break;
  }
  await client.cancel(id, "chance");
}

interface Drawn {
  readonly graph: RandomNode[];
  /** Cancelled when so large a part of its nodes has ended; undefined: not. */
  readonly cancelAfter: number | undefined;
}

function draw(random: () => number, count: number): Drawn[] {
  return Array.from({ length: count }, () => ({
    graph: randomGraph(random),
    cancelAfter: random() < 0.15 ? random() : undefined,
  }));
}

/** Runs a graph to its end, which must be the one that its rules give it. */
async function runToEnd(cluster: FlowCluster, { graph, cancelAfter }: Drawn): Promise<string> {
  const id = await cluster.start({ nodes: toNodes(graph) });
  if (cancelAfter !== undefined) await cancelWhen(cluster, id, Math.floor(cancelAfter * graph.length));
  const ended = await cluster.ended(id);
  const expected = expectedOf(graph);
  if (ended.status.state === "cancelled") {
    for (const [path, outcome] of Object.entries(ended.outcomes)) {
      if (outcome !== "cancelled") expect(outcome).toBe(expected[path]);
    }
    const ids = new Set(ended.rows.map(({ path }) => path.split("/")[0]));
    expect([...ids].toSorted()).toEqual(graph.map((node) => node.id).toSorted());
  } else expect(ended.outcomes).toEqual(expected);
  expectOrder(graph, ended);
  return id;
}

describe("random graphs", { timeout: 900_000 }, () => {
  test("end as their rules say, in order, and leave nothing behind", async () => {
    await using cluster = await FlowCluster.open(2);
    const random = seeded(SEED);
    for (let from = 0; from < GRAPHS; from += AT_ONCE) {
      const ids = await Promise.all(
        draw(random, Math.min(AT_ONCE, GRAPHS - from)).map((drawn) => runToEnd(cluster, drawn)),
      );
      // Followers are told of the end by the job that is about to end itself.
      for (const id of ids) await expect.poll(() => leftOf(cluster, id), { timeout: 60_000 }).toEqual([]);
    }
  });

  test("end so too when a worker loses its connection in the middle, and comes back late", async () => {
    await using cluster = await FlowCluster.open(0);
    await using proxy = await TcpProxy.before(cluster.socket);
    await cluster.addWorker("stays", { lockMs: LOST_LOCK_MS });
    const goes = await cluster.addWorker("goes", { lockMs: LOST_LOCK_MS, redisUrl: proxy.url });
    // Before the proxy goes: it waits for a Redis that answers.
    await using _end = { [Symbol.asyncDispose]: () => goes.stop() };
    const random = seeded(SEED + 1);
    let ended = 0;
    for (let from = 0; from < GRAPHS; from += AT_ONCE) {
      const drawn = draw(random, Math.min(AT_ONCE, GRAPHS - from));
      const cutAt = ended + 1 + Math.floor(random() * (drawn.length - 1));
      const runs = drawn.map(async (one) => {
        const id = await runToEnd(cluster, one);
        ended += 1;
        if (ended === cutAt) expect(proxy.freeze("")).toBeGreaterThan(0);
        return id;
      });
      const ids = await Promise.all(runs).finally(() => {
        proxy.drop();
      });
      for (const id of ids) await expect.poll(() => leftOf(cluster, id), { timeout: 60_000 }).toEqual([]);
    }
  });
});
