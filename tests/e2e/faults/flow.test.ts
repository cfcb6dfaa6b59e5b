/**
 * A lattice of nodes, each needing two of the row before, while the leading scheduler and a worker are killed in the middle of
 * it: the same rows as without, every node after what it needs, and no node twice but those that the lost worker held, or with
 * a record that the later one was fenced. More rounds: FLOW_KILLS=10. The lattice of the bar in place of the small ones:
 * FLOW_LATTICE=200x50.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadLeader } from "../../../src/platform/leader.ts";
import { FaultCluster, kp, PATIENT } from "../../support/fault-cluster.ts";

const ROUNDS = Number(process.env["FLOW_KILLS"] ?? 1);
const PROCESSES = 4;
/** A node takes a while, and goes alone; or next to nothing, and goes with others (25 ms in one job at most). */
interface Shape {
  readonly rows: number;
  readonly columns: number;
  readonly sleep: string;
  readonly mostTwice: number;
}
const shapes: Readonly<Record<string, Shape>> = shapesOf(process.env["FLOW_LATTICE"]);

function shapesOf(written?: string): Record<string, Shape> {
  const slow = { rows: 12, columns: 8, sleep: "sleep 0.05; ", mostTwice: PROCESSES };
  const quick = { rows: 40, columns: 24, sleep: "", mostTwice: PROCESSES * 24 };
  if (written === undefined) return { slow, quick };
  const [, rows, columns] = /^(\d+)x(\d+)$/.exec(written) ?? [];
  if (rows === undefined || columns === undefined) {
    throw new TypeError(`FLOW_LATTICE: expected ROWSxCOLUMNS, found ${JSON.stringify(written)}`);
  }
  return { [written]: { ...quick, rows: Number(rows), columns: Number(columns) } };
}
const rounds = Array.from({ length: ROUNDS }, (_, at) => at).flatMap((at) =>
  Object.entries(shapes).map(([name, shape]) => [name, at, shape] as const),
);

function lattice(log: string, { rows, columns, sleep }: Shape) {
  const id = (row: number, column: number) => `n${row}_${column % columns}`;
  return Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const needs = row === 0 ? [] : [id(row - 1, column), id(row - 1, column + 1)];
    const script = `${sleep}echo "$1 $PPID" >> ${log}; echo "$1" > "$2"`;
    const command = ["/bin/sh", "-c", script, "sh", id(row, column), "{output}"];
    return { id: id(row, column), kind: "exec" as const, needs, command, output: { name: "o" } };
  });
}

function linesOf(log: string): string[] {
  return existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
}

test.each(rounds)(
  "a flow of %s nodes comes to the same end when its leader and a worker are killed, round %i",
  { timeout: 900_000 },
  async (_name, _round, shape) => {
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
    const ended = await cluster.ended(run.id, 840_000);
    expect(ended).toMatchObject({ state: "succeeded", counts: { total: nodes, succeeded: nodes } });
    // The launchers of the workers that started each node, in their order.
    const starts = new Map<string, string[]>();
    for (const line of linesOf(log)) {
      const [node = "", launcher = ""] = line.split(" ");
      starts.set(node, [...(starts.get(node) ?? []), launcher]);
    }
    expect(starts.size).toBe(nodes);
    const launchers = new Set([...starts.values()].flat());
    expect(launchers.size).toBeGreaterThan(1);
    // Each worker has a few; were there one for each start, they would not tell the workers apart.
    expect(launchers.size).toBeLessThanOrEqual(2 * PROCESSES);
    // Those that the lost worker had brought to their end, and not to their row.
    const twice = [...starts].filter(([, by]) => by.length > 1);
    expect(twice.length).toBeLessThanOrEqual(shape.mostTwice);
    for (const [path, by] of twice) {
      const attempts = await cluster.store.files.attempts(run.id, { path, limit: 10 });
      const isFenced = attempts.some(({ end }) => end === "fenced");
      expect({ path, isFenced: isFenced || new Set(by).size === by.length }).toEqual({ path, isFenced: true });
    }
    const startedMs = new Map<string, number>();
    for await (const row of cluster.store.files.all(run.id, 0)) {
      startedMs.set(row.path, row.startedAtMs ?? 0);
      const text = readFileSync(join(ended.spec.output.root, row.outputPath ?? ""), "utf8");
      expect(text, row.path).toBe(`${row.path}\n`);
    }
    const late = lattice(log, shape).flatMap((node) =>
      node.needs.filter((need) => (startedMs.get(node.id) ?? 0) < (startedMs.get(need) ?? Infinity)),
    );
    expect(late).toEqual([]);
  },
);
