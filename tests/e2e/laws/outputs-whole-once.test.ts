/** Law 4: whoever looks at any moment sees a whole output under its name, or none; and it is published once. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FaultCluster, PATIENT } from "../../support/fault-cluster.ts";

test("no part of an output is ever seen under its name while workers are killed", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(80);
  await cluster.scheduler();
  // Each output is written in two parts with a pause between them.
  const slowly = 'printf %s "$(sha256sum < "$1" | cut -c1-20)" > "$2"; sleep 0.05';
  const runId = await cluster.run(cluster.spec(slowly));
  let looks = 0;
  const seen = new Map<string, bigint>();
  const look = (): number => {
    const names = cluster.outputs();
    for (const name of names) {
      const input = name.slice(0, -".output".length);
      expect(readFileSync(join(cluster.output, name), "utf8"), name).toBe(cluster.golden.get(input));
      const inode = cluster.inode(name);
      expect(seen.get(name) ?? inode, `${name} was published again`).toBe(inode);
      seen.set(name, inode);
    }
    looks += 1;
    return names.length;
  };
  for (const mark of [5, 25, 45]) {
    const worker = await cluster.worker();
    await expect.poll(look, PATIENT).toBeGreaterThan(mark);
    worker.child.kill("SIGKILL");
    await worker.ended();
  }
  await cluster.worker();
  await expect.poll(look, PATIENT).toBe(80);
  expect((await cluster.ended(runId)).state).toBe("succeeded");
  look();
  expect(looks).toBeGreaterThan(4);
  await cluster.expectWhole(runId);
});
