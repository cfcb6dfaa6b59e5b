/** Law 3: each file reaches exactly one outcome and the run its end, whatever becomes of the files. */
import { expect, test } from "vitest";
import { FaultCluster } from "../../support/fault-cluster.ts";

test("files that succeed, fail, crash, hang and vanish each end once, in a run that ends", async () => {
  await using cluster = await FaultCluster.open();
  const names = ["good-1", "good-2", "exits", "crashes", "hangs", "vanishes", "silent"];
  for (const name of names) cluster.file(name, name);
  await cluster.scheduler();
  await cluster.worker();
  const fate = [
    'case "$1" in *exits) exit 7;; *crashes) kill -SEGV $$;; *hangs) sleep 600;;',
    '*vanishes) rm "$1"; exit 7;; *silent) exit 0;; esac',
  ].join(" ");
  const runId = await cluster.run(cluster.spec(fate, { timeoutMs: 1_000, retry: { exit: once, timeout: once } }));
  const { state, counts, report } = await cluster.ended(runId);
  expect(state).toBe("failed");
  expect(counts).toEqual({ total: 7, succeeded: 2, failed: 4, skipped: 0, cancelled: 0, quarantined: 1 });
  const classes = new Map(report?.failures.map((failure) => [failure.examples[0], failure.failureClass]));
  expect(classes.get("exits")).toBe("exit");
  expect(classes.get("hangs")).toBe("timeout");
  expect(classes.get("vanishes")).toBe("bad-input");
  expect(classes.get("silent")).toBe("bad-output");
  const rows = new Map<string, number>();
  for await (const row of cluster.store.files.all(runId, 0)) rows.set(row.path, (rows.get(row.path) ?? 0) + 1);
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(names.map((name) => [name, 1])));
  await cluster.expectNothingLeft(runId);
});

const once = { attempts: 1, backoffMs: 0, backoffFactor: 1, maxBackoffMs: 0 };
