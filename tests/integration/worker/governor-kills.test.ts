/** A job that the governor ends again and again is not the one to blame: it runs on, with more, and uses up no attempt. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { MiB } from "../../../src/contract/resources.ts";
import { FaultCluster } from "../../support/fault-cluster.ts";

test("a file that the governor ends three times succeeds in the end, each start of its job being the first", async () => {
  await using cluster = await FaultCluster.open();
  await cluster.scheduler();
  await cluster.worker({ memoryMaxBytes: 200 * MiB });
  cluster.files(1);
  const starts = join(cluster.scratch.path, "starts");
  // Holds more than all jobs of this worker may take, until it is ended.
  const hog = `exec perl -e 'my $held = "x" x ${250 * MiB}; sleep 600'`;
  const runId = await cluster.run(
    cluster.spec(`echo >> ${starts}; [ $(wc -l < ${starts}) -gt 3 ] || ${hog}`, {
      resources: { memoryBytes: 16 * MiB },
      retry: { "out-of-memory": { attempts: 5, backoffMs: 10, backoffFactor: 1, maxBackoffMs: 10 } },
    }),
  );
  await cluster.ended(runId);
  const [row] = await cluster.store.files.get(runId, ["file-0"]);
  expect(row).toMatchObject({ outcome: "succeeded", attempts: 4 });
  const attempts = await cluster.store.files.attempts(runId, { limit: 10 });
  expect(attempts).toMatchObject(
    Array(3).fill({
      failureClass: "out-of-memory",
      message: expect.stringContaining("ended by the governor") as string,
    }),
  );
  for (const { name } of await cluster.queues.list()) {
    for (const job of await cluster.queues.queue(name).getCompleted()) {
      expect(job).toMatchObject({ opts: { attempts: 1 }, attemptsMade: 1 });
    }
  }
  await cluster.expectWhole(runId);
});
