/** Scenario 4 of docs/governor-scenarios.md on real processes, in a real memory cgroup. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { GiB, MiB } from "../../../../src/contract/resources.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { CapacitySensor, createProbes } from "../../../../src/worker/governor/capacity.ts";
import { DEFAULT_MEMORY_THRESHOLD } from "../../../../src/worker/governor/governor-config.ts";
import { Governor } from "../../../../src/worker/governor/governor.ts";
import { GpuProbe } from "../../../../src/worker/governor/probes/gpu.ts";
import { systemRoots } from "../../../../src/worker/governor/probes/probe.ts";
import { ProcessTrees } from "../../../../src/worker/governor/probes/process-trees.ts";
import type { Step } from "../../../../src/worker/governor/step.ts";
import { canMakeMemoryCgroup, Hog, MemoryCgroup } from "../../../support/memory-hogs.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";

const LIMIT = 2 * GiB;
const [OWN_MIB, ASKED_MIB, NEIGHBOUR_MIB] = [512, 700, 1_024];
const PATIENT = { timeout: 60_000, interval: 10 };

const ask = (mebibytes: number) => ({
  queue: `exec.default@${mebibytes}`,
  need: { memoryBytes: mebibytes * MiB, cpuCores: 0.001, processes: 1 },
  labels: [],
});

async function startGovernor(cgroup: MemoryCgroup, steps: Step[]): Promise<Governor> {
  const governor = new Governor(
    {
      ...{ clock: systemClock, logger: quietLogger },
      sensor: new CapacitySensor(createProbes(cgroup.roots, { gpu: new GpuProbe({ driverFiles: [] }) })),
      processes: new ProcessTrees(systemRoots),
      metrics: { decided: () => undefined, stepped: () => undefined },
      act: (step) => steps.push(step),
    },
    { labels: [], maxProcesses: 100 },
  );
  await governor.start();
  onTestFinished(() => governor.stop());
  return governor;
}

test.runIf(canMakeMemoryCgroup())(
  "a neighbour that takes 1 GiB in 5 s in a real group closes the gate within 250 ms, costs no job, and is forgotten within 5 s",
  { timeout: 120_000 },
  async () => {
    await using cgroup = new MemoryCgroup(LIMIT);
    const steps: Step[] = [];
    const governor = await startGovernor(cgroup, steps);
    const isOpen = () => governor.check(ask(ASKED_MIB)).kind === "admit";
    const usedBytes = () => Number(readFileSync(join(cgroup.folder, "memory.usage_in_bytes"), "utf8"));

    const ticket = governor.tryReserve(ask(OWN_MIB));
    if (ticket.kind !== "admit") throw new Error(`expected room for the first job: ${ticket.message}`);
    ticket.bind("own", "run");
    const own = new Hog(OWN_MIB - 20, 0, cgroup.folder);
    governor.attach("own", own.pid);
    await own.full();
    await expect.poll(isOpen, PATIENT).toBe(true);

    // The room as it is in the group itself: whoever looks there at this moment would have to say no.
    let [shortAtMs, closedAtMs] = [Infinity, Infinity];
    let isFull = false;
    const neighbour = new Hog(NEIGHBOUR_MIB, 5, cgroup.folder);
    void neighbour.full().then(() => (isFull = true));
    const look = () => {
      const isShort = usedBytes() + ASKED_MIB * MiB > DEFAULT_MEMORY_THRESHOLD * LIMIT;
      if (isShort) shortAtMs = Math.min(shortAtMs, performance.now());
      if (!isOpen()) closedAtMs = Math.min(closedAtMs, performance.now());
      return isFull;
    };
    await expect.poll(look, PATIENT).toBe(true);
    expect(shortAtMs).toBeLessThan(Infinity);
    expect(closedAtMs - shortAtMs).toBeLessThanOrEqual(250);
    expect(isOpen()).toBe(false);

    neighbour.kill();
    await neighbour.ended;
    const releasedAtMs = performance.now();
    await expect.poll(isOpen, PATIENT).toBe(true);
    expect(performance.now() - releasedAtMs).toBeLessThanOrEqual(5_000);
    expect({ steps, kernelKills: cgroup.kernelKills, isAlive: own.child.exitCode === null }).toEqual({
      ...{ steps: [], kernelKills: 0, isAlive: true },
    });
    ticket.release();
    own.kill();
  },
);
