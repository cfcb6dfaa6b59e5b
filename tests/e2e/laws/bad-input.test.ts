/** Law 11: bad input gets an error that names the place, what was expected and what was found; nothing else suffers. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import type { RunSpecInput } from "../../../src/contract/run-request.ts";
import { FaultCluster } from "../../support/fault-cluster.ts";

test("a specification with faults is refused with all of them at once, and leaves no run and no job behind", async () => {
  await using cluster = await FaultCluster.open();
  const bad = { ...cluster.spec(), timeoutMs: -5, output: { root: "relative", from: "file" } } as RunSpecInput;
  const error: unknown = await cluster.client.run(bad).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InvalidInputError);
  const faults = new Map((error as InvalidInputError).faults.map((fault) => [fault.where, fault]));
  expect([...faults.keys()].sort()).toEqual(["output.root", "timeoutMs"]);
  expect(faults.get("output.root")).toMatchObject({ expected: "the absolute path of a folder", found: '"relative"' });
  expect(await cluster.client.list({ limit: 10 })).toEqual([]);
  expect(await cluster.keys.dbsize()).toBe(0);
});

test("one file that is not what it must be fails with a message, and all others have their outputs", async () => {
  await using cluster = await FaultCluster.open();
  cluster.files(5);
  writeFileSync(join(cluster.input, "empty"), "");
  await cluster.worker();
  const spec = cluster.spec();
  const runId = await cluster.run({ ...spec, inputRules: { minBytes: 1 } });
  const { counts, report } = await cluster.ended(runId);
  expect(counts).toMatchObject({ total: 6, succeeded: 5, failed: 1 });
  expect(report?.failures).toMatchObject([{ failureClass: "bad-input", examples: ["empty"] }]);
  expect(report?.failures[0]?.message).toMatch(/expected .*1 byte.*found/);
  expect(cluster.outputs().sort()).toEqual([...cluster.golden.keys()].map((name) => `${name}.output`).sort());
});
