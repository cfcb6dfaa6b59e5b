/** A worker in small, for tests that kill it: runs one chunk and says the pid of its process. Arguments: script, in, out. */
import { runSpec } from "../../src/contract/run-spec.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLogger } from "../../src/platform/logger.ts";
import { ChunkRunner } from "../../src/worker/executor/chunk-runner.ts";

const [script = "", input = "", output = ""] = process.argv.slice(2);
const deps = { logger: createLogger("warn", {}), clock: systemClock };
const runner = new ChunkRunner(deps, { nice: 0, allow: {}, oomScoreAdj: 1_000 });
await runner.start();
await runner.run(
  {
    chunkId: "chunk",
    runId: "run",
    epoch: 0,
    workerId: "worker",
    token: "token",
    spec: runSpec.parse({
      command: [script, "{input}"],
      input: { kind: "tree", root: input },
      output: { root: output, from: "stdout" },
    }),
    files: [{ index: 0, path: "a", bytes: 1 }],
    known: new Map(),
    intents: new Map(),
    quarantined: new Set(),
    suspects: new Map(),
    isOneByOne: false,
    gpu: null,
  },
  {
    starting: () => Promise.resolve(),
    mayPublish: (items) => Promise.resolve(items.map(() => true)),
    results: () => undefined,
    reused: () => undefined,
    measured: () => undefined,
    usage: (sample) => process.stdout.write(`pid=${sample.pid}\n`),
  },
  new AbortController().signal,
);
