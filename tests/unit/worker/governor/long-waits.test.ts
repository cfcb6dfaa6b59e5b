import { describe, expect, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { decideAdmission } from "../../../../src/worker/governor/admission.ts";
import type { AdmissionView, Request } from "../../../../src/worker/governor/admission-view.ts";
import { LongWaits } from "../../../../src/worker/governor/long-waits.ts";
import type { Reservation } from "../../../../src/worker/governor/reservations.ts";
import { WaitingReasons } from "../../../../src/worker/governor/waiting.ts";
import { idleView, jobOf, promisedOutlooks } from "../../../support/admission-views.ts";

const BIG = "exec.big@19";
/** The limit is 1 GiB, up to 80 % of which jobs are let in, and 100 MiB are others'. */
const big: Request = { ...jobOf(600 * MiB), queue: BIG };
const small: Request = { ...jobOf(150 * MiB), queue: "exec.small@14" };

function running(id: number, mebibytes: number, endsAtMs?: number): Reservation {
  return {
    ...{
      id,
      queue: "exec.small@14",
      kind: undefined,
      isInside: false,
      card: undefined,
      ...{ cardBeforeBytes: undefined, gpuBytes: 0, gpuUse: undefined },
      sinceMs: 0,
      jobId: `job-${id}`,
      runId: "r",
      usage: undefined,
    },
    ...{ pid: undefined, suspension: undefined, suspendedMs: 0, slowed: undefined },
    ...{ peakBytes: 0, processSinceMs: 0, endsAtMs, isRetriable: true, expectation: undefined, work: 0, cpuMs: 0 },
    need: { memoryBytes: mebibytes * MiB, cpuCores: 0.1, processes: 1 },
  };
}

/** The same jobs seen at another moment: each is to end as long after it. */
function at(nowMs: number, jobs: readonly Reservation[]): Reservation[] {
  return jobs.map((job) => ({ ...job, endsAtMs: job.endsAtMs === undefined ? undefined : job.endsAtMs + nowMs }));
}

function viewOf(jobs: readonly Reservation[], nowMs = 10_000): AdmissionView {
  const outlooks = jobs.flatMap(({ jobId, need }) =>
    promisedOutlooks(need.memoryBytes).map((outlook) => ({ ...outlook, id: jobId ?? "" })),
  );
  const reserved = { ...idleView.reserved, processes: jobs.length, cpuCores: 0.1 * jobs.length };
  return { ...idleView, nowMs, maxProcesses: 9, cpuCores: 8, outlooks, reserved };
}

/** A worker on which the big job has waited for so long beside these. */
function held(jobs: readonly Reservation[], waitedMs: number): AdmissionView {
  const view = viewOf(jobs, waitedMs);
  const waiting = new WaitingReasons();
  const answer = decideAdmission(big, view);
  if (answer.kind === "admit") throw new Error("expected the big job to find no room");
  waiting.note(BIG, answer, { nowMs: 0, request: big });
  const waits = new LongWaits();
  waits.note(new Set([BIG]), waiting.queuesWithoutRoom, 0);
  return waits.hold(view, waiting, at(waitedMs, jobs));
}

const codeOf = (request: Request, view: AdmissionView) => {
  const answer = decideAdmission(request, view);
  return answer.kind === "admit" ? "admit" : answer.code;
};

describe("room for what has waited long", () => {
  const jobs = [running(1, 200, 4_000), running(2, 200, 30_000)];

  test("is not kept before it has waited long", () => {
    expect(codeOf(small, held(jobs, 9_999))).toBe("admit");
    expect(codeOf(small, held(jobs, 10_000))).toBe("HOLDING");
  });

  test("says for whom, for how long it has waited and when it starts", () => {
    const view = held(jobs, 12_000);
    expect(view.held).toMatchObject({ queue: BIG, waitedMs: 12_000, startsInMs: 30_000 });
    expect(decideAdmission(small, view)).toMatchObject({
      code: "HOLDING",
      message: `room is kept for ${BIG}, which has waited for 12 s and can start in 30 s`,
    });
  });

  test("lets in what ends before the big job starts, and nothing that lasts longer", () => {
    const view = held(jobs, 12_000);
    expect(codeOf({ ...small, lastsMs: 29_000 }, view)).toBe("admit");
    expect(codeOf({ ...small, lastsMs: 31_000 }, view)).toBe("HOLDING");
  });

  test("lets in what fits beside the big job once that runs", () => {
    const view = held([running(1, 150, 4_000)], 12_000);
    expect(codeOf({ ...jobOf(100 * MiB), queue: "exec.small@14" }, view)).toBe("admit");
    expect(codeOf({ ...jobOf(150 * MiB), queue: "exec.small@14" }, view)).toBe("HOLDING");
  });

  test("holds for the big job itself no room, nor for work inside the worker", () => {
    const view = held(jobs, 12_000);
    expect(codeOf(big, view)).toBe("MEM_NOW");
    const inside = { ...small, isInside: true, need: { ...small.need, processes: 0, cpuCores: 0.05 } };
    expect(codeOf(inside, view)).toBe("admit");
  });

  test("is kept without a date while nobody knows when the running jobs end", () => {
    const view = held([running(1, 200)], 12_000);
    expect(view.held?.startsInMs).toBeNull();
    expect(codeOf({ ...small, lastsMs: 1 }, view)).toBe("HOLDING");
  });

  test("is not kept where something else than our jobs is in the way", () => {
    const full = viewOf([running(1, 100, 4_000)]);
    const waiting = new WaitingReasons();
    const view = { ...full, memory: [{ name: "host", limitBytes: 1_000 * MiB, usedBytes: 400 * MiB }] };
    const answer = decideAdmission(big, view);
    if (answer.kind === "admit") throw new Error("expected no room");
    waiting.note(BIG, answer, { nowMs: 0, request: big });
    const waits = new LongWaits();
    waits.note(new Set([BIG]), waiting.queuesWithoutRoom, 0);
    expect(waits.hold({ ...view, nowMs: 60_000 }, waiting, [running(1, 100, 64_000)]).held).toBeUndefined();
  });

  test("begins anew once a job of the queue was let in, or none waits in it", () => {
    const view = viewOf(jobs, 12_000);
    const waiting = new WaitingReasons();
    const answer = decideAdmission(big, view);
    if (answer.kind === "admit") throw new Error("expected no room");
    waiting.note(BIG, answer, { nowMs: 0, request: big });
    const waits = new LongWaits();
    for (const forget of [
      () => {
        waits.admitted(BIG);
      },
      () => {
        waits.note(new Set(), waiting.queuesWithoutRoom, 11_000);
      },
    ]) {
      waits.note(new Set([BIG]), waiting.queuesWithoutRoom, 0);
      expect(waits.hold(view, waiting, at(12_000, jobs)).held).toBeDefined();
      forget();
      expect(waits.hold(view, waiting, at(12_000, jobs)).held).toBeUndefined();
    }
  });

  describe("where workers agree who keeps it", () => {
    const waits = new LongWaits();
    const waiting = new WaitingReasons();
    const answer = decideAdmission(big, viewOf(jobs, 0));
    if (answer.kind === "admit") throw new Error("expected no room");
    waiting.note(BIG, answer, { nowMs: 0, request: big });
    waits.share();
    waits.note(new Set([BIG]), waiting.queuesWithoutRoom, 0);
    const heldAt = (nowMs: number) => waits.hold(viewOf(jobs, nowMs), waiting, at(nowMs, jobs)).held;

    test("is offered once it has waited long, with when the job could start", () => {
      expect(waits.offers(viewOf(jobs, 9_999), waiting, at(9_999, jobs))).toEqual([]);
      const offers = waits.offers(viewOf(jobs, 10_000), waiting, at(10_000, jobs));
      expect(offers).toEqual([{ queue: BIG, jobId: undefined, waitedMs: 10_000, startsInMs: 30_000 }]);
    });

    test("is kept with a lease alone, and without one once nothing is heard of leases", () => {
      expect(heldAt(12_000)).toBeUndefined();
      waits.lease(new Set(), 12_000);
      expect(heldAt(16_999)).toBeUndefined();
      waits.lease(new Set([BIG]), 17_000);
      expect(heldAt(17_001)).toMatchObject({ queue: BIG });
      waits.lease(new Set(), 18_000);
      expect(heldAt(22_999)).toBeUndefined();
      expect(heldAt(23_000)).toMatchObject({ queue: BIG });
    });
  });
});
