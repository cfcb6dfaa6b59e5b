import { readdirSync } from "node:fs";
import { expect, onTestFinished } from "vitest";
import { keyPrefix } from "../../../src/contract/queues.ts";
import { parseRunSpec } from "../../../src/contract/run-request.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { OutputRegistry } from "../../../src/platform/output-registry.ts";
import { OutputClaims } from "../../../src/worker/output-claims.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { test } from "../../support/redis.ts";
import { Scratch } from "../../support/scratch.ts";

test("a worker that stops takes its claims of ended runs away, and leaves those of runs that go on", async ({
  redis,
  prefix,
}) => {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  const outputs = new OutputRegistry(redis, keyPrefix(prefix));
  const lost: string[] = [];
  const claims = new OutputClaims({
    outputs,
    clock: systemClock,
    logger: quietLogger,
    knowsEnd: () => Promise.resolve(false),
    onLost: (runId) => Promise.resolve(void lost.push(runId)),
  });
  await claims.start();
  const run = (runId: string) => ({
    runId,
    spec: parseRunSpec({
      command: ["/bin/true", "{output}"],
      input: { kind: "tree", root: scratch.path },
      output: { root: scratch.folder(runId), from: "file" },
    }),
  });
  const [ended, going] = [run("ended"), run("going")];
  await outputs.claim(going.spec.output.root, "going");
  // As after a sleep through the end of the run: the worker asks before it publishes, and finds the folder free.
  expect(await claims.hold(ended)).toBeUndefined();
  expect(await claims.hold(going)).toBeUndefined();
  expect(readdirSync(ended.spec.output.root)).toEqual([".headroom-claims"]);
  await claims.stop();
  expect(readdirSync(ended.spec.output.root)).toEqual([]);
  expect(readdirSync(going.spec.output.root)).toEqual([".headroom-claims"]);
  expect(lost).toEqual([]);
  await outputs.release(going.spec.output.root, "going");
});
