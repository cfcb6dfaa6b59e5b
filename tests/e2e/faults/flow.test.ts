/**
 * A lattice of nodes, each needing two of the row before, while the leading scheduler and a worker are killed in the middle of
 * it: the same rows as without, every node after what it needs, and no node twice but those that the lost worker held. More
 * rounds: FLOW_KILLS=10.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadLeader } from "../../../src/platform/leader.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";

const ROUNDS = Number(process.env["FLOW_KILLS"] ?? 1);
const PROCESSES = 4;
/** A node takes a while, and goes alone; or next to nothing, and goes with others (25 ms in one job at most). */
const shapes = {
  slow: { rows: 12, columns: 8, sleep: "sleep 0.05; ", mostTwice: PROCESSES },
  quick: { rows: 40, columns: 24, sleep: "", mostTwice: PROCESSES * 24 },
} as const;
type Shape = (typeof shapes)[keyof typeof shapes];
const rounds = Array.from({ length: ROUNDS }, (_, at) => at).flatMap((at) =>
  (Object.keys(shapes) as (keyof typeof shapes)[]).map((name) => [name, at] as const),
);

function lattice(log: string, { rows, columns, sleep }: Shape) {
  const id = (row: number, column: number) => `n${row}_${column % columns}`;
  return Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const needs = row === 0 ? [] : [id(row - 1, column), id(row - 1, column + 1)];
    const script = `${sleep}echo "$1" >> ${log}; echo "$1" > "$2"`;
    const command = ["/bin/sh", "-c", script, "sh", id(row, column), "{output}"];
    return { id: id(row, column), kind: "exec" as const, needs, command, output: { name: "o" } };
  });
}

function linesOf(log: string): string[] {
  return existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
}

test.each(rounds)(
  "a flow of %s nodes comes to the same end when its leader and a worker are killed, round %i",
  { timeout: 300_000 },
  async (name) => {
    const shape = shapes[name];
    const nodes = shape.rows * shape.columns;
    await using cluster = await FaultCluster.open();
    const log = join(cluster.scratch.path, "nodes.log");
    await cluster.worker({ id: "stays", maxProcesses: PROCESSES });
    const goes = await cluster.worker({ id: "goes", maxProcesses: PROCESSES });
    await cluster.scheduler({ id: "first" });
    await expect.poll(async () => (await loadLeader(cluster.keys, kp))?.holder, PATIENT).toBe("first");
    await cluster.scheduler({ id: "second" });
    const folder = cluster.scratch.folder("runs");
    const run = await cluster.client.flows.run({ version: 1, name: "lattice", nodes: lattice(log, shape) }, { folder });
    await expect.poll(() => linesOf(log).length, PATIENT).toBeGreaterThan(nodes / 4);
    cluster.processes.get("first")?.child.kill("SIGKILL");
    goes.child.kill("SIGKILL");
    const ended = await cluster.ended(run.id, 240_000);
    expect(ended).toMatchObject({ state: "succeeded", counts: { total: nodes, succeeded: nodes } });
    const starts = new Map<string, number>();
    for (const line of linesOf(log)) starts.set(line, (starts.get(line) ?? 0) + 1);
    expect(starts.size).toBe(nodes);
    // Those that the lost worker had brought to their end, and not to their row.
    expect([...starts.values()].filter((count) => count > 1).length).toBeLessThanOrEqual(shape.mostTwice);
    const startedMs = new Map<string, number>();
    for await (const row of cluster.store.files.all(run.id, 0)) startedMs.set(row.path, row.startedAtMs ?? 0);
    const late = lattice(log, shape).flatMap((node) =>
      node.needs.filter((need) => (startedMs.get(node.id) ?? 0) < (startedMs.get(need) ?? Infinity)),
    );
    expect(late).toEqual([]);
  },
);
