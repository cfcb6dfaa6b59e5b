/** The governor in scenarios of docs/governor-scenarios.md, over a machine made of files; the clock is the test's where time counts. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, onTestFinished, test, vi } from "vitest";
import { GiB, MiB, nothing } from "../../../../src/contract/resources.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { CapacitySensor, createProbes } from "../../../../src/worker/governor/capacity.ts";
import type { Eviction } from "../../../../src/worker/governor/step.ts";
import { Governor } from "../../../../src/worker/governor/governor.ts";
import { DEFAULT_MEMORY_THRESHOLD } from "../../../../src/worker/governor/governor-config.ts";
import type { GovernorTicket } from "../../../../src/worker/governor/governor-port.ts";
import { GpuProbe } from "../../../../src/worker/governor/probes/gpu.ts";
import { systemRoots, type ProbeRoots } from "../../../../src/worker/governor/probes/probe.ts";
import { ProcessTrees } from "../../../../src/worker/governor/probes/process-trees.ts";
import { FakeMachine } from "../../../support/fake-machine.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { seeded } from "../../../support/seeded.ts";

const withoutGpu = new GpuProbe({ driverFiles: [] });

async function startGovernor(roots: ProbeRoots): Promise<{ governor: Governor; evictions: Eviction[] }> {
  const evictions: Eviction[] = [];
  const governor = new Governor(
    {
      clock: systemClock,
      logger: quietLogger,
      sensor: new CapacitySensor(createProbes(roots, { gpu: withoutGpu })),
      processes: new ProcessTrees(systemRoots),
      metrics: { decided: () => undefined, stepped: () => undefined },
      act: (step) => {
        if (step.kind === "end") evictions.push(step);
      },
    },
    { labels: [], maxProcesses: 1_000 },
  );
  await governor.start();
  onTestFinished(() => governor.stop());
  return { governor, evictions };
}

function machineWith(limitBytes: number, usedBytes: number): { roots: ProbeRoots; use(bytes: number): void } {
  const machine = new FakeMachine(["0::/app"]);
  onTestFinished(() => {
    machine[Symbol.dispose]();
  });
  const use = (bytes: number) => {
    machine.v2("app", { max: String(limitBytes), current: bytes });
  };
  use(usedBytes);
  return { roots: machine.roots, use };
}

const ask = (mebibytes: number) => ({
  queue: `exec.default@${mebibytes}`,
  need: { memoryBytes: mebibytes * MiB, cpuCores: 0.001, processes: 1 },
  labels: [],
});

test("of five hundred jobs offered at once it never promises more than there is, whatever ends meanwhile", async () => {
  const limit = 2 * GiB;
  const { governor } = await startGovernor(machineWith(limit, 0).roots);
  const random = seeded(5);
  const held: { ticket: GovernorTicket; bytes: number }[] = [];
  let admitted = 0;
  for (let offered = 0; offered < 500; offered += 1) {
    const question = ask(16 + Math.floor(random() * 200));
    const answer = governor.tryReserve(question);
    if (answer.kind === "admit") {
      admitted += 1;
      answer.bind(`job-${offered}`, "run");
      held.push({ ticket: answer, bytes: question.need.memoryBytes });
    }
    if (random() < 0.3) held.splice(Math.floor(random() * held.length), 1)[0]?.ticket.release();
    const promised = held.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(governor.snapshot().reserved.memoryBytes).toBe(promised);
    expect(promised).toBeLessThanOrEqual(DEFAULT_MEMORY_THRESHOLD * limit);
  }
  expect(admitted).toBeGreaterThan(50);
  expect(admitted).toBeLessThan(500);
  for (const { ticket } of held) ticket.release();
  expect(governor.snapshot().reserved).toEqual(nothing);
});

test("a neighbour that takes 1 GiB in 5 s closes the gate within 250 ms, ends no job, and is forgotten within 5 s", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const [own, asked, ceiling] = [GiB, 2_000 * MiB, DEFAULT_MEMORY_THRESHOLD * 4 * GiB];
  const machine = machineWith(4 * GiB, own);
  const { governor, evictions } = await startGovernor(machine.roots);
  const running = governor.tryReserve(ask(1_024));
  if (running.kind !== "admit") throw new Error(`expected room for the first job: ${running.message}`);
  running.bind("own", "run");
  governor.usage("own", { rssBytes: own, cpuMs: 0, atMs: performance.now() });
  const isOpen = () => governor.check(ask(asked / MiB)).kind === "admit";
  expect(isOpen()).toBe(true);

  let shortSinceMs = Infinity;
  let closedAtMs = Infinity;
  for (let ms = 50; ms <= 5_000; ms += 50) {
    const neighbour = (ms / 5_000) * GiB;
    machine.use(own + neighbour);
    await vi.advanceTimersByTimeAsync(50);
    if (own + asked + neighbour > ceiling) shortSinceMs = Math.min(shortSinceMs, ms);
    if (!isOpen()) closedAtMs = Math.min(closedAtMs, ms);
    else expect(closedAtMs).toBe(Infinity);
  }
  expect(shortSinceMs).toBeLessThan(5_000);
  expect(closedAtMs - shortSinceMs).toBeLessThanOrEqual(250);

  machine.use(own);
  let openAfterMs = 0;
  while (!isOpen() && openAfterMs < 10_000) {
    await vi.advanceTimersByTimeAsync(50);
    openAfterMs += 50;
  }
  expect(openAfterMs).toBeLessThanOrEqual(5_000);
  expect(evictions).toEqual([]);
});

test("two hundred readings of this machine start no process", async () => {
  const trees = new ProcessTrees(systemRoots);
  const sensor = new CapacitySensor(createProbes(systemRoots, { gpu: withoutGpu }));
  onTestFinished(() => {
    sensor.close();
    trees.close();
  });
  trees.watch("self", process.pid);
  const before = startedBySelf();
  for (let at = 1; at <= 200; at += 1) {
    sensor.read(at * 50, () => trees.readOwnCpuMs());
    expect(trees.read(at * 50)).toMatchObject([{ jobId: "self" }]);
    // Probes that answer later have their turn.
    await new Promise(setImmediate);
  }
  expect(startedBySelf()).toEqual(before);
});

/** Children that this process has, and the page faults of those that it has had: any process that it starts changes one. */
function startedBySelf(): { children: string[]; faultsOfEnded: number } {
  const children = readdirSync("/proc/self/task").map((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, "utf8"),
  );
  const stat = readFileSync("/proc/self/stat", "utf8");
  const faultsOfEnded = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[8]);
  return { children: children.filter((list) => list !== ""), faultsOfEnded };
}
