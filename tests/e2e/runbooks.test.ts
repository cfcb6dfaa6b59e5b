/** The pages of docs/runbooks, played: what stands there works, on a cluster that is in the state that the page is for. */
import { expect, test } from "vitest";
import { playRunbook, RunbookCluster } from "../support/runbook.ts";

test("stuck-queue", async () => {
  await using cluster = await RunbookCluster.open();
  await cluster.start(["worker"]);
  cluster.env["RUN"] = await cluster.enqueue(["cat", "{input}"], { files: 1 });
  await expect.poll(async () => (await cluster.sh('headroom status "$RUN"')).output).toContain("succeeded");
  await playRunbook("stuck-queue", cluster, async () => {
    expect((await cluster.sh("headroom queues pause default")).code).toBe(0);
    cluster.env["RUN"] = await cluster.enqueue(["wc", "-c", "{input}"], { files: 3, options: ["-o", "other"] });
  });
});
