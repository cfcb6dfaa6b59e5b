/** Files that take down what runs them. They are quarantined, and everything else goes on. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { keys } from "../../../src/contract/queues.ts";
import { FaultCluster, PATIENT, kp } from "../../support/fault-cluster.ts";

// The launcher's parent is the worker: the fourth field of its line in /proc.
const killWorker = "read -r _ _ _ worker _ < /proc/$PPID/stat; kill -9 $worker; sleep 60";

const poisons = {
  "its worker": killWorker,
  "its launcher": "kill -9 $PPID; sleep 60",
  "its own process": "kill -SEGV $$",
};

for (const [what, command] of Object.entries(poisons)) {
  test(`a file that kills ${what} is quarantined, and the others succeed`, async () => {
    await using cluster = await FaultCluster.open();
    cluster.files(40);
    const healthy = [...cluster.golden.keys()];
    cluster.file("poison", "poison\n");
    const runId = await cluster.run(cluster.spec(`case "$1" in *poison) ${command};; esac`));
    const deaths = await withWorkers(cluster, 2, async () => {
      const status = await cluster.ended(runId);
      expect(status.state).toBe("failed");
      expect(status.counts).toMatchObject({ succeeded: 40, quarantined: 1, failed: 0 });
    });
    expect(deaths).toBe(what === "its worker" ? 3 : 0);
    await cluster.expectWhole(runId, healthy);
    const [row] = await cluster.store.files.get(runId, ["poison"]);
    expect(row).toMatchObject({ outcome: "quarantined", failureClass: "signal" });
    expect(await cluster.client.release(runId)).toBe(1);
  });
}

test("a file that runs beside a worker-killer whenever it can is not quarantined with it", async () => {
  await using cluster = await FaultCluster.open();
  for (const name of ["long", "other", "poison"]) cluster.file(name, `${name}\n`);
  // Each waits for the other, for three seconds at most: they run side by side unless they are kept apart.
  const marks = cluster.scratch.folder("marks");
  const meet = (own: string, other: string) =>
    `touch ${marks}/${own}; n=0; while [ ! -e ${marks}/${other} ] && [ $n -lt 60 ]; do n=$((n+1)); sleep 0.05; done`;
  const poison = `${meet("poison", "long")}; rm -f ${join(marks, "*")}; ${killWorker}`;
  const script = `case "$1" in *poison) ${poison};; *long) ${meet("long", "poison")}; sleep 1;; esac`;
  const runId = await cluster.run(cluster.spec(script, { chunk: { maxFiles: 1 } }));
  const deaths = await withWorkers(cluster, 1, async () => {
    await expect.poll(() => cluster.keys.hvals(keys.losses(kp)), PATIENT).toEqual(["2", "2"]);
    const status = await cluster.ended(runId);
    expect(status.counts).toMatchObject({ succeeded: 2, quarantined: 1, failed: 0 });
  });
  expect(deaths).toBe(3);
  await cluster.expectWhole(runId, ["long", "other"]);
  expect(await cluster.keys.hvals(keys.losses(kp))).toEqual(["3"]);
});

/** Keeps so many workers alive while `work` goes on; how many of them were killed. */
async function withWorkers(cluster: FaultCluster, count: number, work: () => Promise<void>): Promise<number> {
  let deaths = 0;
  let isOver = false;
  const keep = async (): Promise<void> => {
    while (!isOver) {
      const worker = await cluster.worker();
      const end = await Promise.race([worker.ended(), over]);
      if (end === "SIGKILL") deaths += 1;
    }
  };
  let finish: () => void = () => undefined;
  const over = new Promise<void>((resolve) => (finish = resolve));
  const keepers = Array.from({ length: count }, () => keep());
  try {
    await work();
  } finally {
    isOver = true;
    finish();
    await Promise.all(keepers);
  }
  return deaths;
}
