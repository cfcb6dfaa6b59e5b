import { readFileSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { GiB, KiB, MiB, nothing, type Amounts } from "../../../../src/contract/resources.ts";
import { systemClock, type Clock } from "../../../../src/platform/clock.ts";
import { CapacitySensor, createProbes } from "../../../../src/worker/governor/capacity.ts";
import type { Eviction } from "../../../../src/worker/governor/step.ts";
import type { GovernorConfig } from "../../../../src/worker/governor/governor-config.ts";
import { Governor } from "../../../../src/worker/governor/governor.ts";
import type { GovernorTicket, ReserveQuestion } from "../../../../src/worker/governor/governor-port.ts";
import { systemRoots, type ProbeRoots } from "../../../../src/worker/governor/probes/probe.ts";
import { ProcessTrees } from "../../../../src/worker/governor/probes/process-trees.ts";
import { FakeMachine } from "../../../support/fake-machine.ts";
import { canMakeMemoryCgroup, Hog, MemoryCgroup } from "../../../support/memory-hogs.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";

const LIMIT = 256 * MiB;

interface Rig {
  readonly governor: Governor;
  readonly evictions: Eviction[];
  readonly decisions: string[];
}

interface RigParts {
  readonly hogs?: Map<string, Hog>;
  readonly processRoots?: ProbeRoots;
  readonly clock?: Clock;
}

async function startGovernor(
  roots: ProbeRoots,
  config: Partial<GovernorConfig> = {},
  { hogs, processRoots = systemRoots, clock = systemClock }: RigParts = {},
): Promise<Rig> {
  const evictions: Eviction[] = [];
  const decisions: string[] = [];
  const governor = new Governor(
    {
      clock,
      logger: quietLogger,
      sensor: new CapacitySensor(createProbes(roots)),
      processes: new ProcessTrees(processRoots),
      metrics: {
        decided: (decision, reason) => decisions.push(`${decision} ${reason}`.trim()),
        stepped: () => undefined,
      },
      act: (step) => {
        if (step.kind !== "end") return;
        evictions.push(step);
        hogs?.get(step.jobId)?.kill();
      },
    },
    { labels: [], maxProcesses: 100, ...config },
  );
  await governor.start();
  onTestFinished(() => governor.stop());
  return { governor, evictions, decisions };
}

const need = (mebibytes: number): Amounts => ({ memoryBytes: mebibytes * MiB, cpuCores: 1, processes: 1 });
const ask = (mebibytes: number, queue = "exec.default@10"): ReserveQuestion => ({
  queue,
  need: need(mebibytes),
  labels: [],
});

function admitted(governor: Governor, question: ReserveQuestion): GovernorTicket {
  const answer = governor.tryReserve(question);
  if (answer.kind !== "admit") throw new Error(`expected to be admitted: ${answer.message}`);
  return answer;
}

function fakeMachine(facts: { limit: number; current: number }): FakeMachine {
  const machine = new FakeMachine(["0::/app"]);
  machine.v2("app", { max: String(facts.limit), current: facts.current });
  onTestFinished(() => {
    machine[Symbol.dispose]();
  });
  return machine;
}

describe("governor", () => {
  test("admits fifty jobs offered at once only as far as they fit once all have grown", async () => {
    const { governor } = await startGovernor(fakeMachine({ limit: LIMIT, current: 0 }).roots, { memoryThreshold: 0.8 });
    const answers = Array.from({ length: 50 }, () => governor.tryReserve(ask(32)));
    expect(answers.filter((answer) => answer.kind === "admit")).toHaveLength(Math.floor((0.8 * LIMIT) / (32 * MiB)));
    expect(answers.at(-1)).toMatchObject({ kind: "defer", code: "MEM_THRESHOLD" });
    for (const answer of answers) if (answer.kind === "admit") answer.release();
    expect(governor.snapshot().reserved).toEqual(nothing);
  });

  test("runs as many processes as a person asks for, on fewer cores, and no more", async () => {
    const { governor } = await startGovernor(fakeMachine({ limit: GiB, current: 0 }).roots, { maxProcesses: 9 });
    const answers = Array.from({ length: 12 }, () => governor.tryReserve(ask(1)));
    expect(answers.filter((answer) => answer.kind === "admit")).toHaveLength(9);
    expect(answers.at(-1)).toMatchObject({ code: "PROCESSES", need: 1, have: 0 });
    expect(governor.snapshot().headroom).toMatchObject({ processes: 0 });
  });

  test("remembers why and since when a queue waits, and estimates until when", async () => {
    const { governor, decisions } = await startGovernor(fakeMachine({ limit: GiB, current: 0 }).roots, {
      maxProcesses: 1,
    });
    const ticket = admitted(governor, ask(10));
    ticket.bind("job-1", "run-1");
    governor.describe("job-1", { remainingMs: 5_000 });
    const startedMs = Date.now();
    governor.tryReserve(ask(20, "exec.big@20"));
    governor.tryReserve(ask(20, "exec.big@20"));
    governor.tryReserve(ask(2_000, "exec.huge@23"));
    const [big, huge] = governor.snapshot().waiting;
    expect(big).toMatchObject({ queue: "exec.big@20", code: "PROCESSES", need: 1, have: 0 });
    expect(big?.sinceMs).toBeGreaterThanOrEqual(startedMs);
    expect(big?.etaMs).toBeGreaterThan(4_000);
    expect(big?.etaMs).toBeLessThanOrEqual(5_000);
    expect(huge).toMatchObject({ queue: "exec.huge@23", code: "UNSCHEDULABLE", etaMs: null });
    expect(decisions).toEqual(["admit", "defer PROCESSES", "reject UNSCHEDULABLE"]);
    ticket.release();
    admitted(governor, ask(20, "exec.big@20")).release();
    expect(governor.snapshot().waiting.map((wait) => wait.queue)).toEqual(["exec.huge@23"]);
  });

  test("calls when a job ends, and when the load of others goes away", async () => {
    const machine = fakeMachine({ limit: LIMIT, current: LIMIT });
    const { governor } = await startGovernor(machine.roots);
    let calls = 0;
    governor.onRoom(() => (calls += 1));
    expect(governor.tryReserve(ask(32))).toMatchObject({ kind: "defer", code: "MEM_NOW" });
    machine.v2("app", { max: String(LIMIT), current: 0 });
    await expect.poll(() => calls).toBeGreaterThan(0);
    const ticket = admitted(governor, ask(32));
    ticket.bind("job-1", "run-1");
    calls = 0;
    ticket.release();
    ticket.release();
    expect(calls).toBe(1);
  });

  test("keeps room for a large job that small ones would keep waiting for ever, and lets in what ends before", async () => {
    const { roots } = fakeMachine({ limit: LIMIT, current: 0 });
    let aheadMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs };
    const { governor } = await startGovernor(roots, { memoryThreshold: 0.8 }, { clock });
    const [small, big] = ["exec.small@12", "exec.big@15"];
    const tickets = [1, 2, 3].map((id) => {
      const ticket = admitted(governor, ask(64, small));
      ticket.bind(`job-${id}`, "run-1");
      governor.describe(`job-${id}`, { remainingMs: 60_000 });
      return ticket;
    });
    const backlog = new Set([small, big]);
    expect(governor.tryReserve(ask(180, big))).toMatchObject({ lacking: "memoryBytes" });
    governor.noteBacklog(backlog);
    aheadMs += 11_000;
    governor.noteBacklog(backlog);
    tickets[0]?.release();
    expect(governor.tryReserve(ask(64, small))).toMatchObject({ code: "HOLDING", lacking: "turn" });
    expect(governor.snapshot().waiting.find((wait) => wait.queue === small)).toMatchObject({ code: "HOLDING" });
    for (const ticket of tickets) ticket.release();
    const started = admitted(governor, ask(180, big));
    expect(governor.tryReserve(ask(64, small))).toMatchObject({ lacking: "memoryBytes" });
    started.release();
    admitted(governor, ask(64, small)).release();
  });

  test("drains and pauses with a reason, and never comes back from draining", async () => {
    const { governor } = await startGovernor(fakeMachine({ limit: LIMIT, current: 0 }).roots);
    governor.hold({ isPaused: true });
    expect(governor.check(ask(1))).toMatchObject({ code: "PAUSED" });
    governor.hold({ isPaused: false });
    expect(governor.check(ask(1)).kind).toBe("admit");
    governor.hold({ isDraining: true });
    governor.hold({ isPaused: false });
    expect(governor.tryReserve(ask(1))).toMatchObject({ code: "DRAINING" });
  });

  test("refuses settings out of their range, all together", () => {
    const create = () =>
      new Governor({} as ConstructorParameters<typeof Governor>[0], {
        labels: [],
        maxProcesses: 0,
        memoryThreshold: 80,
        cpuThreshold: Number.NaN,
      });
    expect(create).toThrow(
      /3 faults[\s\S]*maxProcesses[\s\S]*memoryThreshold: expected a ratio above 0, 1 at most, found 80/,
    );
  });

  test("says so when a sensor fails, and goes on with the others", async () => {
    const machine = fakeMachine({ limit: LIMIT, current: 0 });
    machine.write("cgroup/app/memory.max", "?");
    const { governor } = await startGovernor(machine.roots);
    expect(governor.snapshot().degraded).toMatchObject([{ code: "NO_SENSOR", sensor: "cgroup memory" }]);
    expect(governor.check(ask(1)).kind).toBe("admit");
  });

  test("holds a CPU threshold against the load of others until it goes away", async () => {
    const machine = fakeMachine({ limit: GiB, current: 0 });
    const load = burn(machine, { others: 1, own: 0 });
    const { governor } = await startGovernor(machine.roots, { cpuThreshold: 0.8, maxProcesses: 4 });
    expect(governor.tryReserve(ask(1))).toMatchObject({ code: "CPU_THRESHOLD", need: 0.8 });
    load.others = 0;
    await expect.poll(() => governor.check(ask(1)).kind, { timeout: 5_000 }).toBe("admit");
  });

  test("a CPU threshold that our own jobs reach holds their number and replaces each that ends", async () => {
    const machine = fakeMachine({ limit: GiB, current: 0 });
    const load = burn(machine, { others: 0, own: 0 });
    const config = { cpuThreshold: 0.8, maxProcesses: 4 };
    const { governor } = await startGovernor(machine.roots, config, { processRoots: machine.roots });
    const tickets = [admitted(governor, ask(1)), admitted(governor, ask(1))];
    load.own = 1;
    await expect.poll(() => governor.check(ask(1)), { timeout: 5_000 }).toMatchObject({ code: "CPU_THRESHOLD" });
    await expect
      .poll(() => governor.check(ask(1)), { timeout: 5_000 })
      .toMatchObject({ message: /held to 1 of our own/ });
    for (const ticket of tickets) ticket.release();
    // All CPUs are still in use as measured, by us alone: one job may always run.
    admitted(governor, ask(1)).release();
  });

  test("goes on measuring while claims come faster than its readings", async () => {
    const machine = fakeMachine({ limit: LIMIT, current: LIMIT * 0.99 });
    const { governor } = await startGovernor(machine.roots);
    const inside = { queue: "scan.control@10", need: { ...nothing, memoryBytes: 0 }, labels: [] };
    const timer = setInterval(() => governor.tryReserve(inside), 1);
    onTestFinished(() => {
      clearInterval(timer);
    });
    let calls = 0;
    governor.onRoom(() => (calls += 1));
    governor.tryReserve(ask(32));
    machine.v2("app", { max: String(LIMIT), current: 0 });
    await expect.poll(() => calls).toBeGreaterThan(0);
  });
});

/** Keeps four CPUs as busy as `load` says at each moment, as shares; `own` is the time of this process. */
function burn(machine: FakeMachine, load: { others: number; own: number }): { others: number; own: number } {
  let busyTicks = 0;
  let ownTicks = 0;
  let lastMs = performance.now();
  const write = () => {
    const ticks = (performance.now() - lastMs) / 10;
    lastMs = performance.now();
    busyTicks += ticks * Math.min(1, load.others + load.own);
    ownTicks += ticks * 4 * load.own;
    machine.busy(Array.from({ length: 4 }, () => Math.round(busyTicks)));
    machine.write(
      `proc/${process.pid}/stat`,
      `${process.pid} (node) S 1 1 1 0 -1 0 0 0 0 0 ${Math.round(ownTicks)} 0 0 0 20 0\n`,
    );
  };
  write();
  const timer = setInterval(write, 20);
  onTestFinished(() => {
    clearInterval(timer);
  });
  return load;
}

describe("enforcement on real processes", () => {
  /** One job in its promise and one that outgrows it, in a limit that both together break. */
  async function outgrow(rig: {
    roots: ProbeRoots;
    cgroup?: string;
    onStart?: (pid: number) => void;
  }): Promise<{ evictions: Eviction[]; after: unknown }> {
    const hogs = new Map<string, Hog>();
    onTestFinished(() => {
      for (const hog of hogs.values()) hog.kill();
    });
    const { governor, evictions } = await startGovernor(rig.roots, { memoryThreshold: 0.8 }, { hogs });
    const start = (jobId: string, mebibytes: number, pauseMs: number): Hog => {
      const ticket = admitted(governor, ask(64));
      ticket.bind(jobId, "run");
      const hog = new Hog(mebibytes, pauseMs, rig.cgroup);
      hogs.set(jobId, hog);
      rig.onStart?.(hog.pid);
      governor.attach(jobId, hog.pid);
      void hog.ended.then(() => {
        ticket.release();
      });
      return hog;
    };
    const kept = start("kept", 40, 0);
    await kept.full();
    const outgrown = start("outgrown", 400, 2);
    expect(await outgrown.ended).toBe("SIGKILL");
    expect(kept.child.exitCode).toBeNull();
    await expect.poll(() => governor.check(ask(32))).toMatchObject({ code: "COOLDOWN" });
    const after = governor.snapshot().running.map((job) => job.jobId);
    kept.kill();
    await kept.ended;
    return { evictions, after };
  }

  test("ends a job that outgrew its promise, once, and keeps the one that did not", async () => {
    const machine = fakeMachine({ limit: LIMIT, current: 0 });
    const pids = new Set<number>();
    const timer = setInterval(() => {
      machine.write("cgroup/app/memory.current", String([...pids].reduce((sum, pid) => sum + rssOf(pid), 0)));
    }, 5);
    onTestFinished(() => {
      clearInterval(timer);
    });
    const { evictions, after } = await outgrow({ roots: machine.roots, onStart: (pid) => pids.add(pid) });
    expect(evictions).toMatchObject([{ jobId: "outgrown", runId: "run", reason: "memory-threshold" }]);
    expect(evictions[0]?.peakBytes).toBeGreaterThan(100 * MiB);
    expect(after).toEqual(["kept"]);
  });

  test("holds its jobs together to a limit of its own, and ends one that breaks it, on a machine with room", async () => {
    const machine = fakeMachine({ limit: GiB, current: 0 });
    const hogs = new Map([["outgrown", new Hog(110, 2)]]);
    onTestFinished(() => hogs.get("outgrown")?.kill());
    const { governor, evictions } = await startGovernor(machine.roots, { memoryMaxBytes: 100 * MiB }, { hogs });
    expect(governor.snapshot().capacity.memoryBytes).toBe(100 * MiB);
    const first = admitted(governor, ask(40));
    first.bind("outgrown", "run");
    admitted(governor, ask(40, "exec.default@11")).bind("kept", "run");
    const third = governor.tryReserve(ask(40));
    expect(third).toMatchObject({ kind: "defer", code: "MEM_NOW" });
    expect(third).toHaveProperty("message", expect.stringContaining("100 MiB of the worker.memory_max"));
    expect(governor.tryReserve(ask(97))).toMatchObject({ kind: "reject", code: "UNSCHEDULABLE" });
    governor.attach("outgrown", hogs.get("outgrown")?.pid ?? 0);
    await expect.poll(() => evictions.map(({ jobId }) => jobId), { timeout: 10_000 }).toEqual(["outgrown"]);
    first.release();
    // Right after an ending admission comes back step by step.
    await expect.poll(() => governor.check(ask(40)).kind, { timeout: 15_000 }).toBe("admit");
  });

  test.skipIf(!canMakeMemoryCgroup())("acts before the kernel does, in a real memory cgroup", async () => {
    await using cgroup = new MemoryCgroup(LIMIT);
    const { evictions, after } = await outgrow({ roots: cgroup.roots, cgroup: cgroup.folder });
    expect(evictions.map(({ jobId }) => jobId)).toEqual(["outgrown"]);
    expect(after).toEqual(["kept"]);
    expect(cgroup.kernelKills).toBe(0);
    expect(cgroup.maxUsedBytes).toBeLessThan(LIMIT);
  });

  test.skipIf(!canMakeMemoryCgroup())("keeps the threshold with jobs that keep their promise", async () => {
    await using cgroup = new MemoryCgroup(LIMIT);
    const { governor, evictions } = await startGovernor(cgroup.roots, { memoryThreshold: 0.8 });
    const answers = Array.from({ length: 50 }, () => governor.tryReserve(ask(32)));
    const hogs = answers.filter(({ kind }) => kind === "admit").map(() => new Hog(20, 0, cgroup.folder));
    onTestFinished(() => {
      for (const hog of hogs) hog.kill();
    });
    await Promise.all(hogs.map((hog) => hog.full()));
    expect(hogs.length).toBeGreaterThanOrEqual(5);
    expect(cgroup.maxUsedBytes).toBeLessThan(0.8 * LIMIT);
    expect(evictions).toEqual([]);
    for (const hog of hogs) hog.kill();
    await Promise.all(hogs.map((hog) => hog.ended));
  });
});

function rssOf(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * KiB;
  } catch {
    // It has ended.
    return 0;
  }
}
