import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nothing, type Amounts } from "../../../../src/contract/resources.ts";
import { growthBytes, outgrownBytes, Reservations } from "../../../../src/worker/governor/reservations.ts";

const who = { queue: "exec.default@14", isInside: false, nowMs: 1 };
const small: Amounts = { memoryBytes: 100, cpuCores: 0.1, processes: 1 };

function reserve(ledger: Reservations, need = small): number {
  return ledger.reserve(need, who).id;
}

describe("reservations", () => {
  test("counts a job that outgrew its promise with what it uses", () => {
    const ledger = new Reservations();
    const id = reserve(ledger);
    ledger.bind(id, { jobId: "a", runId: "r", nowMs: 2 });
    ledger.observe("a", { rssBytes: 950, cpuMs: 1, atMs: 3 });
    expect(ledger.reserved().memoryBytes).toBe(100);
    expect(ledger.committed(false).memoryBytes).toBe(950);
    const [job] = ledger.all;
    expect(job && [outgrownBytes(job), growthBytes(job), job.peakBytes]).toEqual([850, 0, 950]);
  });

  test("forgets what a process used when the next one of its job begins", () => {
    const ledger = new Reservations();
    ledger.bind(reserve(ledger), { jobId: "a", runId: "r", nowMs: 2 });
    ledger.observe("a", { rssBytes: 950, cpuMs: 1, atMs: 3 });
    ledger.slow("a", { sinceMs: 4, message: "slowed" });
    ledger.beginProcess("a", 77, 9);
    expect(ledger.ofJob("a")).toMatchObject({ usage: undefined, peakBytes: 0, processSinceMs: 9, pid: 77 });
    expect(ledger.ofJob("a")?.slowed).toBeUndefined();
  });

  test("counts the time in which a process stood still for nothing", () => {
    const ledger = new Reservations();
    ledger.bind(reserve(ledger), { jobId: "a", runId: "r", nowMs: 2 });
    ledger.beginProcess("a", 77, 100);
    ledger.describe("a", { endsAtMs: 5_000 });
    ledger.suspend("a", { sinceMs: 400, message: "stopped" });
    expect(ledger.ofJob("a")).toMatchObject({ endsAtMs: undefined, suspension: { message: "stopped" } });
    ledger.suspend("a", { sinceMs: 500, message: "again" });
    ledger.resume("a", 1_400);
    expect(ledger.ofJob("a")).toMatchObject({ suspendedMs: 1_000, processSinceMs: 1_100, endsAtMs: 6_000 });
    expect(ledger.ofJob("a")?.suspension).toBeUndefined();
    ledger.resume("a", 9_999);
    expect(ledger.ofJob("a")?.suspendedMs).toBe(1_000);
  });

  test("lets a job go on whose process has given way to the next one", () => {
    const ledger = new Reservations();
    ledger.bind(reserve(ledger), { jobId: "a", runId: "r", nowMs: 2 });
    ledger.beginProcess("a", 77, 100);
    ledger.suspend("a", { sinceMs: 400, message: "stopped" });
    ledger.beginProcess("a", 78, 900);
    expect(ledger.ofJob("a")).toMatchObject({ suspension: undefined, suspendedMs: 500, processSinceMs: 900, pid: 78 });
  });

  test("releases once, and a late measurement of an ended job is not noted", () => {
    const ledger = new Reservations();
    const id = reserve(ledger);
    ledger.bind(id, { jobId: "a", runId: "r", nowMs: 2 });
    expect(ledger.release(id)?.jobId).toBe("a");
    expect(ledger.release(id)).toBeUndefined();
    ledger.observe("a", { rssBytes: 1, cpuMs: 1, atMs: 3 });
    expect(ledger.reserved()).toEqual(nothing);
  });

  test("tells work inside from work with processes, but adds up memory of all", () => {
    const ledger = new Reservations();
    reserve(ledger, { ...small, cpuCores: 2 });
    ledger.reserve({ memoryBytes: 900, cpuCores: 0.05, processes: 0 }, { ...who, isInside: true });
    expect(ledger.reserved(false)).toEqual({ memoryBytes: 100, cpuCores: 2, processes: 1 });
    expect(ledger.committed(false)).toEqual({ memoryBytes: 1_000, cpuCores: 2, processes: 1 });
  });

  test("releasing everything leaves exactly nothing, whatever came before", () => {
    const need = fc.record({
      memoryBytes: fc.integer({ min: 0, max: 1_200 }),
      cpuCores: fc.double({ min: 0, max: 3, noNaN: true }),
      processes: fc.integer({ min: 1, max: 4 }),
    });
    const step = fc.oneof(
      fc.record({ kind: fc.constant("reserve" as const), need }),
      fc.record({ kind: fc.constant("release" as const), pick: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ledger = new Reservations();
        for (const action of steps) {
          if (action.kind === "reserve") ledger.reserve(action.need, who);
          else {
            const { all } = ledger;
            ledger.release(all[action.pick % Math.max(1, all.length)]?.id ?? -1);
          }
        }
        for (const { id } of ledger.all) ledger.release(id);
        expect(ledger.reserved()).toEqual(nothing);
        expect(ledger.committed(false)).toEqual(nothing);
      }),
    );
  });
});
