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
const [ROWS, COLUMNS, PROCESSES] = [12, 8, 4];

function lattice(log: string) {
  const id = (row: number, column: number) => `n${row}_${column % COLUMNS}`;
  return Array.from({ length: ROWS * COLUMNS }, (_, at) => {
    const [row, column] = [Math.floor(at / COLUMNS), at % COLUMNS];
    const needs = row === 0 ? [] : [id(row - 1, column), id(row - 1, column + 1)];
    const script = `sleep 0.05; echo "$1" >> ${log}; echo "$1" > "$2"`;
    const command = ["/bin/sh", "-c", script, "sh", id(row, column), "{output}"];
    return { id: id(row, column), kind: "exec" as const, needs, command, output: { name: "o" } };
  });
}

function linesOf(log: string): string[] {
  return existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
}

test.each(Array.from({ length: ROUNDS }, (_, at) => at))(
  "a flow comes to the same end when its leader and a worker are killed, round %i",
  { timeout: 300_000 },
  async () => {
    await using cluster = await FaultCluster.open();
    const log = join(cluster.scratch.path, "nodes.log");
    await cluster.worker({ id: "stays", maxProcesses: PROCESSES });
    const goes = await cluster.worker({ id: "goes", maxProcesses: PROCESSES });
    await cluster.scheduler({ id: "first" });
    await expect.poll(async () => (await loadLeader(cluster.keys, kp))?.holder, PATIENT).toBe("first");
    await cluster.scheduler({ id: "second" });
    const folder = cluster.scratch.folder("runs");
    const run = await cluster.client.flows.run({ version: 1, name: "lattice", nodes: lattice(log) }, { folder });
    await expect.poll(() => linesOf(log).length, PATIENT).toBeGreaterThan(ROWS * 2);
    cluster.processes.get("first")?.child.kill("SIGKILL");
    goes.child.kill("SIGKILL");
    const ended = await cluster.ended(run.id, 240_000);
    expect(ended).toMatchObject({ state: "succeeded", counts: { total: ROWS * COLUMNS, succeeded: ROWS * COLUMNS } });
    const starts = new Map<string, number>();
    for (const line of linesOf(log)) starts.set(line, (starts.get(line) ?? 0) + 1);
    expect(starts.size).toBe(ROWS * COLUMNS);
    // Those that the lost worker had brought to their end, and not to their row.
    expect([...starts.values()].filter((count) => count > 1).length).toBeLessThanOrEqual(PROCESSES);
    const rows = new Map<string, number>();
    for await (const row of cluster.store.files.all(run.id, 0)) rows.set(row.path, row.startedAtMs ?? 0);
    const late = lattice(log).flatMap((node) =>
      node.needs.filter((need) => (rows.get(node.id) ?? 0) < (rows.get(need) ?? Infinity)),
    );
    expect(late).toEqual([]);
  },
);
