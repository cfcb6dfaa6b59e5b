/** The trace id of the enqueuing call: on every log line about its run, and in the environment of its processes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newTraceId } from "../../src/platform/trace.ts";
import { FaultCluster } from "../support/fault-cluster.ts";

test("goes from the call to every line of the worker about the run, and to the binary", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(3);
  cluster.file("broken", "fails\n");
  const worker = await cluster.worker({ logLevel: "info" });
  const traceId = newTraceId();
  const script = 'grep -q fails "$1" && { echo "no such codec" >&2; exit 3; }; echo "$TRACEPARENT" > "$2"';
  const command = ["/bin/sh", "-c", script, "sh", "{input}", "{output}"];
  const { run } = await cluster.client.run(cluster.spec("", { command }), { traceId });
  await cluster.ended(run.id);
  await worker.line("run ended");
  const lines = worker
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{") && line.includes(run.id))
    .map((line) => JSON.parse(line) as { msg: string; traceId?: string; said?: string; exitCode?: number });
  const messages = new Set(lines.map(({ msg }) => msg));
  expect([...messages]).toEqual(expect.arrayContaining(["chunk started", "file ended", "chunk ended", "run ended"]));
  const failed = lines.find(({ exitCode }) => exitCode === 3);
  expect(failed).toMatchObject({ msg: "file ended", said: "no such codec\n" });
  expect(lines.filter((line) => line.traceId !== traceId)).toEqual([]);
  expect(cluster.outputs()).toHaveLength(3);
  const parent = readFileSync(join(cluster.output, "file-0.output"), "utf8").trim();
  expect(parent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
});
