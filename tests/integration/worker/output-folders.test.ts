/** Runs whose output folder can never be made: they end, and say why. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FlowCluster } from "../../support/flow-cluster.ts";

/** Starts a run over one file of a folder. */
async function start(cluster: FlowCluster, root: string, input: "tree" | "list" = "tree"): Promise<string> {
  const folder = cluster.scratch.folder("in");
  writeFileSync(join(folder, "a"), "a");
  const { run } = await cluster.client.run({
    command: ["/bin/cp", "{input}", "{output}"],
    input: input === "tree" ? { kind: "tree", root: folder } : { kind: "list", root: folder, paths: ["a"] },
    output: { root, from: "file" },
  });
  return run.id;
}

describe("an output folder that cannot be made", { timeout: 60_000 }, () => {
  test.each(["tree", "list"] as const)("below /proc breaks a run over a %s, and holds no processor", async (input) => {
    await using cluster = await FlowCluster.open();
    const ended = await cluster.ended(await start(cluster, "/proc/x/o", input));
    expect(ended.status).toMatchObject({
      state: "broken",
      message: "output: expected a folder that can be made at /proc/x/o, found ENOENT at /proc/x",
    });
    // A folder that is there takes what comes next: no thread is held.
    const after = await cluster.ended(await start(cluster, join(cluster.scratch.path, "out"), input));
    expect(after.status.state).toBe("succeeded");
  });

  test.each(["tree", "list"] as const)("below a file breaks a run over a %s", async (input) => {
    await using cluster = await FlowCluster.open();
    const file = join(cluster.scratch.path, "file");
    writeFileSync(file, "");
    const root = join(file, "a/b");
    const ended = await cluster.ended(await start(cluster, root, input));
    expect(ended.status).toMatchObject({
      state: "broken",
      message: `output: expected a folder that can be made at ${root}, found something that is not a folder at ${file}`,
    });
  });

  test("breaks a flow", async () => {
    await using cluster = await FlowCluster.open();
    const id = await cluster.start(
      { nodes: [{ id: "a", kind: "exec", command: ["/bin/true"] }] },
      { folder: (run) => `/proc/x/${run}` },
    );
    const ended = await cluster.ended(id);
    expect(ended.status.state).toBe("broken");
    expect(ended.status.message).toMatch(
      /^output: expected a folder that can be made at \S+, found ENOENT at \/proc\/x$/,
    );
  });
});
