import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { MachineLedger, type MachinePromise } from "../../../../src/worker/governor/machine-ledger.ts";
import { FakeMachine } from "../../../support/fake-machine.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { Scratch } from "../../../support/scratch.ts";
import { runTs } from "../../../support/ts-process.ts";

const promise = (growthBytes: number): MachinePromise => ({
  growthBytes,
  cpuCores: 1,
  processes: 1,
  cards: [],
  isEnding: false,
  starvedMs: 0,
});

function scratchFolder(): Scratch {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  return scratch;
}

function openLedger(folder: string, workerId: string, nowMs?: () => number): MachineLedger {
  const ledger = new MachineLedger(folder, workerId, quietLogger, nowMs);
  onTestFinished(() => {
    ledger.close();
  });
  return ledger;
}

describe("machine ledger", () => {
  test("shows each worker what the others promise, as of now, and nothing of those that stopped", () => {
    const folder = join(scratchFolder().path, "ledger");
    const one = openLedger(folder, "one");
    const two = openLedger(folder, "two");
    expect(one.others()).toEqual([]);
    one.publish(promise(64), ["host"]);
    two.publish(promise(32), ["host", "cgroup /app"]);
    expect(one.others()).toMatchObject([{ workerId: "two", growthBytes: 32, levels: ["host", "cgroup /app"] }]);
    expect(two.others()).toMatchObject([{ workerId: "one", growthBytes: 64 }]);
    two.publish(promise(1), ["host"]);
    expect(one.others()).toMatchObject([{ growthBytes: 1, levels: ["host"] }]);
    two.close();
    expect(one.others()).toEqual([]);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test("sees who comes and who goes at once, however often it has looked in between", () => {
    const folder = join(scratchFolder().path, "ledger");
    const one = openLedger(folder, "one");
    one.publish(promise(64), ["host"]);
    for (let round = 0; round < 500; round += 1) {
      expect(one.others()).toEqual([]);
      const two = openLedger(folder, `two-${round % 2}`);
      two.publish(promise(round), ["host"]);
      expect(one.others()).toMatchObject([{ growthBytes: round }]);
      expect(two.others()).toHaveLength(1);
      two.close();
    }
  });

  test("drops the promise of a worker that was killed, and keeps what a half-written file said before", async () => {
    const folder = join(scratchFolder().path, "ledger");
    const one = openLedger(folder, "one");
    const two = openLedger(folder, "two");
    one.publish(promise(64), ["host"]);
    two.publish(promise(32), ["host"]);
    expect(one.others()).toHaveLength(1);
    const [name = ""] = readdirSync(folder).filter((entry) => entry.includes("two"));
    const whole = readFileSync(join(folder, name), "utf8");
    writeFileSync(join(folder, name), whole.slice(0, 40));
    expect(one.others()).toMatchObject([{ growthBytes: 32 }]);

    await using ended = runTs("support/processes/exits.ts");
    await ended.ended();
    const dead = whole.replace(`"pid":${process.pid}`, `"pid":${ended.pid}`).replace(/"atMs":\d+/, '"atMs":1');
    writeFileSync(join(folder, name), dead);
    expect(one.others()).toEqual([]);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test("lets no worker that is stopped or hangs hold the others up", () => {
    const folder = join(scratchFolder().path, "ledger");
    let nowMs = 1_000_000;
    const one = openLedger(folder, "one", () => nowMs);
    const hung = openLedger(folder, "hung", () => nowMs);
    const last = { growthBytes: 64, cpuCores: 2, processes: 2, cards: ["GPU-1"], isEnding: true, starvedMs: 9_000 };
    hung.publish(last, ["host"]);
    nowMs += 4_999;
    expect(one.others()).toMatchObject([last]);
    nowMs += 1;
    const silent = { growthBytes: 64, cpuCores: 0, processes: 0, cards: ["GPU-1"], isEnding: false, starvedMs: 0 };
    expect(one.others()).toMatchObject([silent]);
    nowMs += 24_999;
    expect(one.others()).toMatchObject([silent]);
    nowMs += 1;
    expect(one.others()).toEqual([]);
    hung.publish(last, ["host"]);
    expect(one.others()).toMatchObject([last]);
  });

  test("comes back when somebody has cleaned up its folder", () => {
    const folder = join(scratchFolder().path, "ledger");
    const one = openLedger(folder, "one");
    const two = openLedger(folder, "two");
    two.publish(promise(32), ["host"]);
    rmSync(folder, { recursive: true });
    expect(one.others()).toEqual([]);
    two.publish(promise(16), ["host"]);
    expect(one.others()).toMatchObject([{ growthBytes: 16 }]);
  });

  test("never lets workers that reserve at the same moment promise a machine twice", { timeout: 120_000 }, async () => {
    const scratch = scratchFolder();
    using machine = new FakeMachine(["0::/app"]);
    machine.v2("app", { max: String(256 * MiB), current: 0 });
    const log = scratch.file("log", "");
    const args = [join(scratch.path, "ledger"), log, machine.roots.proc, machine.roots.cgroup, "400"];
    const reservers = ["a", "b", "c"].map((id) => runTs("support/processes/reserver.ts", { args: [id, ...args] }));
    try {
      await Promise.all(reservers.map((reserver) => reserver.line("ready")));
      writeFileSync(log, ".");
      expect(await Promise.all(reservers.map((reserver) => reserver.ended()))).toEqual([0, 0, 0]);
    } finally {
      await Promise.all(reservers.map((reserver) => reserver[Symbol.asyncDispose]()));
    }
    let held = 0;
    let most = 0;
    const steps = Array.from(readFileSync(log, "latin1").slice(1));
    for (const step of steps) {
      held += step === "+" ? 1 : -1;
      most = Math.max(most, held);
    }
    // 80 % of 256 MiB holds six promises of 32 MiB; three workers that did not see each other would make nine.
    expect(most).toBe(6);
    expect(held).toBe(0);
    expect(steps.length).toBeGreaterThan(600);
  });
});
