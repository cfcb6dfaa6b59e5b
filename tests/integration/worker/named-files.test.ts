/** Runs over files that are named: what a list says of one file twice, of two with one output, and when it gets shorter. */
import { readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { summaryOf } from "../../../src/cli/report-text.ts";
import { createClient } from "../../../src/producer/client.ts";
import { FlowCluster } from "../../support/flow-cluster.ts";

test("of two named files that want one output name one gets it, and a file that is named twice is one", async () => {
  await using cluster = await FlowCluster.open();
  const root = cluster.scratch.folder("in");
  for (const name of ["a/x", "b/x"]) cluster.scratch.file(`in/${name}`, name);
  symlinkSync("x", join(root, "a/link"));
  const run = async (paths: string[], folder: string, name?: string) => {
    const output = { root: cluster.scratch.folder(folder), ...(name !== undefined && { name }) };
    const started = await cluster.client.run({
      command: ["/bin/cat", "{input}"],
      input: { kind: "list", root, paths },
      output,
    });
    const { rows } = await cluster.ended(started.run.id);
    const outputs = readdirSync(output.root, { recursive: true, encoding: "utf8" }).filter((one) => /x|link/.test(one));
    return { rows: rows.map(({ path, outcome }) => [path, outcome]), outputs: outputs.toSorted() };
  };
  expect(await run(["a/x", "b/x"], "clash", "{name}")).toEqual({
    rows: [
      ["a/x", "succeeded"],
      ["b/x", "failed"],
    ],
    outputs: ["x"],
  });
  expect(await run(["a/x", "./a/x", "a//x"], "twice")).toEqual({
    rows: [["a/x", "succeeded"]],
    outputs: ["a/x.output"],
  });
  expect(await run(["./a/x"], "alone")).toEqual({ rows: [["a/x", "succeeded"]], outputs: ["a/x.output"] });
  // A link that is followed has a name of its own, so its output has one too.
  expect(await run(["a/x", "a/link"], "linked")).toEqual({
    rows: [
      ["a/link", "succeeded"],
      ["a/x", "succeeded"],
    ],
    outputs: ["a/link.output", "a/x.output"],
  });
});

test("a shorter list in pages takes the place of a longer one; without a store it is refused", async () => {
  await using cluster = await FlowCluster.open();
  const root = cluster.scratch.folder("in");
  for (const name of ["a", "b", "c", "d"]) cluster.scratch.file(`in/${name}`, name);
  async function* pages(...lists: readonly (readonly string[])[]) {
    yield* await Promise.resolve(lists);
  }
  const spec = {
    command: ["/bin/cat", "{input}"],
    input: { kind: "list" as const, root },
    output: { root: cluster.scratch.folder("out") },
  };
  const { run } = await cluster.client.run(spec, { pages: pages(["a", "b"], ["c"], ["d"]) });
  expect((await cluster.ended(run.id)).rows).toHaveLength(4);

  await using other = await createClient({ redis: cluster.redis, prefix: "flows" });
  await expect(other.resume(run.id, {}, pages(["a"]))).rejects.toThrow(
    "store: expected a store, to resume a run, found none",
  );
  await expect(
    other.run({ ...spec, output: { root: cluster.scratch.folder("other") } }, { pages: pages(["a"]) }),
  ).rejects.toThrow("store: expected a store, to store a long list of inputs, found none");

  await cluster.client.resume(run.id, {}, pages(["d", "a"]));
  const { rows, status } = await cluster.ended(run.id);
  expect([rows.map(({ path }) => path), status.counts.total]).toEqual([["a", "d"], 2]);
});

test("a run that is cancelled while it is scanned counts what was found by then, and says so", async () => {
  await using cluster = await FlowCluster.open();
  for (let at = 0; at < 300; at += 1) cluster.scratch.file(`in/${at}`, String(at));
  const cancelled = async (paths: string[] | undefined, folder: string) => {
    const root = cluster.scratch.folder("in");
    const { run } = await cluster.client.run({
      command: ["/bin/sleep", "60"],
      input: paths === undefined ? root : { kind: "list", root, paths },
      output: cluster.scratch.folder(folder),
      chunk: { maxFiles: 1 },
    });
    await expect.poll(async () => (await cluster.client.status(run.id)).progress.runningJobs).toBeGreaterThan(0);
    await cluster.client.cancel(run.id, "enough");
    const { report } = await cluster.client.wait(run.id, AbortSignal.timeout(60_000));
    if (report === null) throw new TypeError("expected a report");
    return report;
  };
  const early = await cancelled(undefined, "early");
  expect(early.isScanned).toBe(false);
  expect(early.files.total).toBeLessThan(300);
  expect(summaryOf(early)).toBe(`run cancelled, 0 of ${early.files.total} files found by then succeeded`);
  const late = await cancelled(["1", "2"], "late");
  expect([late.isScanned, summaryOf(late)]).toEqual([true, "run cancelled, 0 of 2 files succeeded"]);
});
