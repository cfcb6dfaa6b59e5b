import { existsSync, writeFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import type { GpuProbe } from "../../../../src/worker/governor/probes/gpu.ts";
import { CARD, FakeGpuMachine } from "../../../support/fake-gpu.ts";

function withTwoCards(): FakeGpuMachine {
  const machine = new FakeGpuMachine();
  writeFileSync(machine.driver, "");
  machine.write("cards", [
    `1, ${CARD(1)}, Big Card, 81920, 100, 0, 40, 70.5`,
    `0, ${CARD(0)}, Big Card, 81920, 2048, 93, 71, 512.0`,
  ]);
  machine.write("apps", [`${CARD(0)}, 4711, 1948`]);
  return machine;
}

describe("gpu", () => {
  test("without a driver nothing is ever started", async () => {
    const machine = new FakeGpuMachine();
    const probe = machine.open();
    for (let at = 0; at < 20; at += 1) {
      expect(probe.open()).toBe(false);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(machine.starts).toBe(0);
    expect(probe.samplerPids).toEqual([]);
  });

  test("tells each device with its processes, and starts two samplers however often it is read", async () => {
    const machine = withTwoCards();
    const probe = machine.open();
    expect(probe.open()).toBe(true);
    await expect.poll(() => probe.read().map((gpu) => gpu.processes.length)).toEqual([1, 0]);
    const [first, second] = probe.read();
    expect(first).toMatchObject({ index: 0, uuid: CARD(0), usedBytes: 2048 * MiB, utilisation: 0.93, powerW: 512 });
    expect(first?.processes).toEqual([{ pid: 4711, usedBytes: 1948 * MiB }]);
    expect(second).toMatchObject({ index: 1, temperatureC: 40, processes: [] });
    for (let at = 0; at < 200; at += 1) {
      probe.open();
      probe.read();
    }
    expect(machine.starts).toBe(2);
    expect(probe.caveat).toBeUndefined();
  });

  test("goes on when a sampler dies, without a gap in what it tells", async () => {
    const machine = withTwoCards();
    const probe = machine.open({ loopMs: 100 });
    probe.open();
    await expect.poll(() => probe.read().length).toBe(2);
    await expect.poll(() => machine.starts).toBe(2);
    const before = probe.samplerPids;
    for (const pid of before) process.kill(pid, "SIGKILL");
    await expect.poll(() => probe.samplerPids.filter((pid) => !before.includes(pid)).length).toBe(2);
    expect(probe.read()).toHaveLength(2);
    await expect.poll(() => machine.starts).toBe(4);
  });

  test("starts a sampler anew when it is old, or has grown too large", async () => {
    const machine = withTwoCards();
    machine.write("leak", []);
    let nowMs = 0;
    // Each look comes ten seconds after the one before, and what was seen is young all the same.
    const probe = machine.open({ limits: { maxRssBytes: 48 * MiB }, nowMs: () => (nowMs += 5_001), loopMs: 100_000 });
    probe.open();
    const startsOf = (watched: GpuProbe, where: FakeGpuMachine) => () => {
      watched.read();
      return where.starts;
    };
    await expect.poll(startsOf(probe, machine), { timeout: 20_000 }).toBeGreaterThan(2);
    const old = withTwoCards();
    let oldNowMs = 0;
    const oldProbe = old.open({ limits: { maxAgeMs: 1 }, nowMs: () => (oldNowMs += 5_001), loopMs: 100_000 });
    oldProbe.open();
    await expect.poll(startsOf(oldProbe, old), { timeout: 20_000 }).toBeGreaterThan(2);
  });

  test("a card that vanishes is no capacity any more, and the probe says so", async () => {
    const machine = withTwoCards();
    const probe = machine.open();
    probe.open();
    await expect.poll(() => probe.read().length).toBe(2);
    machine.write("cards", [`0, ${CARD(0)}, Big Card, 81920, 2048, 93, 71, 512.0`]);
    await expect.poll(() => probe.read().length).toBe(1);
    expect(probe.caveat).toBe("GPU 1 vanished");
    machine.write("cards", ["Unable to determine the device handle for GPU 0000:65:00.0: GPU is lost."]);
    await vi.waitFor(() => {
      expect(() => probe.read()).toThrow(/all GPUs vanished/);
    });
  });

  test("skips garbage between the lines, and takes what is not supported as unknown", async () => {
    const machine = withTwoCards();
    machine.write("cards", [
      "WARNING: infoROM is corrupted at gpu 0000:65:00.0",
      `0, ${CARD(0)}, Old Card, [N/A], [N/A], [Not Supported], 50, [N/A]`,
      "x".repeat(10_000),
    ]);
    const probe = machine.open();
    probe.open();
    await expect.poll(() => probe.read().length).toBe(1);
    expect(probe.read()[0]).toMatchObject({ memoryBytes: null, utilisation: null, temperatureC: 50 });
    expect(probe.caveat).toMatch(/lines of the sampler could not be read/);
  });

  test("a driver that does not answer, and a program that is not there, are told as they are", async () => {
    const machine = withTwoCards();
    machine.write("refuse", []);
    const probe = machine.open();
    probe.open();
    await vi.waitFor(() => {
      expect(() => probe.read()).toThrow(/could not communicate with the driver/);
    });
    const missing = machine.open({ command: "/nowhere/nvidia-smi" });
    missing.open();
    await vi.waitFor(() => {
      expect(() => missing.read()).toThrow(/\/nowhere\/nvidia-smi ended: .*ENOENT/);
    });
  });

  test("nothing is left running after the end", async () => {
    const machine = withTwoCards();
    const probe = machine.open();
    probe.open();
    await expect.poll(() => probe.read().length).toBe(2);
    const pids = probe.samplerPids;
    probe.close();
    await expect.poll(() => pids.filter((pid) => existsSync(`/proc/${pid}/exe`))).toEqual([]);
  });
});
