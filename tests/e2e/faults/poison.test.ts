/** Files that take down what runs them. They are quarantined, and everything else goes on. */
import { expect, test } from "vitest";
import { FaultCluster } from "../../support/fault-cluster.ts";

const poisons = {
  // The launcher's parent is the worker: the fourth field of its line in /proc.
  "its worker": "read -r _ _ _ worker _ < /proc/$PPID/stat; kill -9 $worker; sleep 60",
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
