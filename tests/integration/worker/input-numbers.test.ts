/** The numbers of inputs: each has one of its own, which a dry run knows before and a resumed run keeps. */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { RunSpecInput } from "../../../src/contract/run-request.ts";
import { planDryRun } from "../../../src/cli/run/dry-run.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

/** The numbers of a run's inputs, in their order. */
async function numbersOf(cluster: FlowCluster, id: string): Promise<[string, number][]> {
  const { rows } = await cluster.ended(id);
  return rows.map(({ path, index }): [string, number] => [path, index]).toSorted(([, a], [, b]) => a - b);
}

test("files that fail the look at them have numbers of their own among the others, in a list and in a folder", async () => {
  await using cluster = await FlowCluster.open();
  const root = cluster.scratch.folder("in");
  const good = ["f1", "f2", "f3", "f4", "f5", "f6"];
  for (const name of good) cluster.scratch.file(`in/${name}`, name);
  const paths = ["no1", "f1", "no2", "f2", "f3", "no3", "no4", "f4", "f5", "f6"];
  const specOf = (input: RunSpecInput["input"], folder: string): RunSpecInput => ({
    command: ["/bin/cat", "{input}"],
    input,
    output: { root: cluster.scratch.folder(folder), name: "{index}-{name}" },
  });
  const spec = specOf({ kind: "list", root, paths }, "out-list");
  const planned = await planDryRun({ spec, list: undefined }, 10);
  expect(planned.commands.map(({ output }) => output.slice(output.lastIndexOf("/") + 1))).toEqual(
    ["1-f1", "3-f2", "4-f3", "7-f4", "8-f5", "9-f6"], // their places in the list
  );
  const { run } = await cluster.client.run(spec);
  expect(await numbersOf(cluster, run.id)).toEqual(paths.map((path, at) => [path, at]));
  const { rows } = await cluster.ended(run.id);
  expect(rows.flatMap(({ outputPath }) => outputPath ?? []).toSorted()).toEqual(
    planned.commands.map(({ output }) => output.slice(output.lastIndexOf("/") + 1)),
  );

  // One that was missing is there now, and one is new: the first keeps its number, the other one comes behind all.
  cluster.scratch.file("in/no2", "no longer");
  cluster.scratch.file("in/new", "new");
  await cluster.client.resume(run.id, { input: { kind: "list", root, paths: ["new", ...paths] } });
  expect(await numbersOf(cluster, run.id)).toEqual([...paths, "new"].map((path, at) => [path, at]));

  mkdirSync(join(root, "d"));
  for (const name of ["x", "y"]) symlinkSync("nothing", join(root, "d", name));
  const tree = specOf({ kind: "tree", root, symlinks: "follow" }, "out-tree");
  const first = await planDryRun({ spec: tree, list: undefined }, 10);
  const followed = await cluster.client.run(tree);
  const numbers = await numbersOf(cluster, followed.run.id);
  expect(numbers.map(([, index]) => index)).toEqual(numbers.map((_, at) => at));
  const { rows: found } = await cluster.ended(followed.run.id);
  expect(found.flatMap(({ outputPath }) => outputPath ?? []).toSorted()).toEqual(
    first.commands.map(({ output }) => output.slice(output.lastIndexOf("/") + 1)).toSorted(),
  );
});
