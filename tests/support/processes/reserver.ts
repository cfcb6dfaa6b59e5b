/**
 * Reserves and releases in a hurry on a machine that it shares with others like it. Each admission appends `+` to the
 * shared log after it was granted, each release `-` before it is given back: the running sum is never above what was
 * promised at that moment.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { MiB } from "../../../src/contract/resources.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { CapacitySensor, createProbes } from "../../../src/worker/governor/capacity.ts";
import { Governor } from "../../../src/worker/governor/governor.ts";
import type { GovernorTicket } from "../../../src/worker/governor/governor-port.ts";
import { MachineLedger } from "../../../src/worker/governor/machine-ledger.ts";
import { systemRoots } from "../../../src/worker/governor/probes/probe.ts";
import { ProcessTrees } from "../../../src/worker/governor/probes/process-trees.ts";
import { quietLogger } from "../quiet-logger.ts";

const [, , id = "", folder = "", log = "", proc = "", cgroup = "", rounds = "0"] = process.argv;
const governor = new Governor(
  {
    clock: systemClock,
    logger: quietLogger,
    sensor: new CapacitySensor(createProbes({ ...systemRoots, proc, cgroup })),
    processes: new ProcessTrees(systemRoots),
    metrics: { decided: () => undefined, stepped: () => undefined },
    shared: new MachineLedger(folder, id, quietLogger),
    act: () => undefined,
  },
  { labels: [], maxProcesses: 100, memoryThreshold: 0.8 },
);
await governor.start();
process.stdout.write("ready\n");
// All start at once, when the test says so.
while (readFileSync(log, "utf8") === "") await setImmediate();
const held: GovernorTicket[] = [];
for (let round = 0; round < Number(rounds); round += 1) {
  const answer = governor.tryReserve({
    queue: "exec.default@10",
    need: { memoryBytes: 32 * MiB, cpuCores: 0.1, processes: 1 },
    labels: [],
  });
  if (answer.kind === "admit") {
    appendFileSync(log, "+");
    answer.bind(`job-${round}`, "run");
    held.push(answer);
  }
  await setImmediate();
  if (held.length > 2 || answer.kind !== "admit") {
    const ticket = held.shift();
    if (ticket === undefined) continue;
    appendFileSync(log, "-");
    ticket.release();
  }
}
for (const ticket of held) {
  appendFileSync(log, "-");
  ticket.release();
}
await governor.stop();
