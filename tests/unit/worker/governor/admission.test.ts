import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GiB, MiB } from "../../../../src/contract/resources.ts";
import { decideAdmission, fitToCores } from "../../../../src/worker/governor/admission.ts";
import type { AdmissionView, Request } from "../../../../src/worker/governor/admission-view.ts";
import { flatExpectation } from "../../../../src/worker/governor/self-tuning.ts";
import { idleView, insideJobOf, jobOf, openGates, promisedOutlooks } from "../../../support/admission-views.ts";

const job = jobOf(128 * MiB);
const scan = insideJobOf(32 * MiB);
/** A job that takes little at first and everything in its second half. */
const late = {
  durationMs: { p05: 10_000, p50: 10_000, p95: 10_000 },
  shape: [0.1, 0.1, 0.1, 0.1, 0.1, 1, 1, 1, 1, 1],
};
function codeOf(request: Request, view: Partial<AdmissionView>): string {
  const answer = decideAdmission(request, { ...idleView, ...view });
  return answer.kind === "admit" ? "admit" : answer.code;
}

const neighbour = {
  workerId: "other",
  levels: ["host"],
  growthBytes: 0,
  cpuCores: 0,
  processes: 1,
  isEnding: false,
  starvedMs: 0,
  cards: [],
};

const begun = (running: number, settled: number) => ({ unknown: { running, settled } });

describe("decideAdmission", () => {
  test("counts what other workers of the machine have promised, within the levels that both are in", () => {
    const host = [{ name: "host", limitBytes: GiB, usedBytes: 0 }];
    const beside = (promised: Partial<typeof neighbour>) =>
      codeOf(job, { memory: host, neighbours: [{ ...neighbour, ...promised }] });
    expect(beside({ growthBytes: 690 * MiB })).toBe("admit");
    expect(beside({ growthBytes: 700 * MiB })).toBe("MEM_THRESHOLD");
    expect(beside({ growthBytes: 700 * MiB, levels: ["cgroup /elsewhere"] })).toBe("admit");
    expect(beside({ cpuCores: 1 })).toBe("admit");
    expect(beside({ cpuCores: 1.5 })).toBe("CPU");
    expect(codeOf(job, { neighbours: [{ ...neighbour, cpuCores: 1.5 }], isProcessLimitSet: true })).toBe("admit");
  });

  test("lets a worker that could start nothing for a while go first, unless this one has no job either", () => {
    const neighbours = [{ ...neighbour, starvedMs: 2_500 }];
    const reserved = { cpuCores: 1, processes: 1, insideCores: 0 };
    expect(codeOf(job, { neighbours, reserved })).toBe("NEIGHBOUR");
    expect(codeOf(job, { neighbours })).toBe("admit");
    expect(codeOf(job, { neighbours: [{ ...neighbour, starvedMs: 1_500 }], reserved })).toBe("admit");
    expect(codeOf(scan, { neighbours, reserved })).toBe("admit");
  });

  const full = { reserved: { cpuCores: 2, processes: 2, insideCores: 0 } };
  const used = (bytes: number) => ({ memory: [{ name: "host", limitBytes: GiB, usedBytes: bytes }] });
  const cpu = (allowed: number, others = 0.1) => ({ ...openGates, cpu: { allowed, utilisation: 0.9, others } });
  const waiting = (running: number, limit: number, cpuCores = 1.9) => ({
    classLimits: new Map([["exec.curl", { limit, cores: 0.1, profile: "exec.curl", isAlone: true }]]),
    running: Array.from({ length: running }, () => ({ queue: "exec.curl@12", need: job.need })),
    reserved: { cpuCores, processes: 0, insideCores: 0 },
  });
  test("of several kinds in a profile the next job is looked at, and held by the limit of its own kind alone", () => {
    const of = (kind: string) => ({ queue: "exec.curl@12", need: job.need, kind });
    const view = {
      classLimits: new Map([["curl:waits", { limit: 2, cores: 0.1, profile: "exec.curl", isAlone: false }]]),
      running: [of("curl:waits"), of("curl:waits"), of("curl:computes")],
      reserved: { cpuCores: 0.9, processes: 3, insideCores: 0 },
      maxProcesses: 9,
    };
    const answer = (kind?: string) =>
      decideAdmission({ ...job, queue: "exec.curl@12", kind }, { ...idleView, ...view });
    expect(answer()).toMatchObject({ code: "CLASS_LIMIT", lacking: "kind" });
    expect(answer("curl:waits")).toMatchObject({ code: "CLASS_LIMIT", lacking: "processes" });
    expect(answer("curl:computes").kind).toBe("admit");
  });

  const rows: [string, Request, Partial<AdmissionView>, string][] = [
    ["an idle worker admits", job, {}, "admit"],
    ["a paused worker", job, { state: "paused" }, "PAUSED"],
    ["a draining worker, for work inside too", scan, { state: "draining" }, "DRAINING"],
    ["a file that is to be alone", job, { isSolitary: true }, "ALONE"],
    ["which does not hold a scan", scan, { isSolitary: true }, "admit"],
    ["a label that the worker lacks", { ...job, labels: ["gpu", "tpu"] }, {}, "LABELS"],
    ["a label that it has", { ...job, labels: ["gpu"] }, {}, "admit"],
    ["more memory than the threshold ever leaves", jobOf(0.81 * GiB), {}, "UNSCHEDULABLE"],
    ["more processes than ever", { ...job, need: { ...job.need, processes: 3 } }, {}, "UNSCHEDULABLE"],
    ["all processes taken", job, full, "PROCESSES"],
    ["all processes taken does not hold a scan", scan, full, "admit"],
    [
      "what will be in use while the job runs",
      { ...jobOf(500 * MiB), memory: { ...late, memoryBytes: { p50: 500 * MiB, p95: 500 * MiB } } },
      { outlooks: promisedOutlooks(400 * MiB) },
      "MEM_FORECAST",
    ],
    ["a kind of job that nobody knows, beside two such", { ...job, samples: 0 }, begun(2, 0), "CALIBRATING"],
    ["one whose like have run for a while", { ...job, samples: 0 }, begun(2, 2), "admit"],
    ["the first one of its kind", { ...job, samples: 0 }, {}, "admit"],
    ["a kind of which three were measured", { ...job, samples: 3 }, begun(9, 0), "admit"],
    ["cores taken", job, { reserved: { cpuCores: 1.5, processes: 1, insideCores: 0 } }, "CPU"],
    ["the share inside taken", scan, { reserved: { cpuCores: 0, processes: 0, insideCores: 0.5 } }, "CPU"],
    ["use above the threshold", jobOf(MiB), used(0.81 * GiB), "MEM_THRESHOLD"],
    ["use and need just at the threshold", jobOf(319 * MiB), used(500 * MiB), "admit"],
    ["use and need above the threshold", jobOf(320 * MiB), used(500 * MiB), "MEM_THRESHOLD"],
    ["promises count as used", job, { outlooks: promisedOutlooks(650 * MiB) }, "MEM_THRESHOLD"],
    ["near the end of memory", jobOf(0.5 * GiB), used(0.5 * GiB), "MEM_NOW"],
    ["no threshold set", job, { ...used(0.85 * GiB), memoryThreshold: 0.9, isMemoryThresholdSet: false }, "MEM_NOW"],
    ["the threshold does not hold a report", scan, used(0.85 * GiB), "admit"],
    ["the line of danger does", scan, used(0.9 * GiB), "MEM_NOW"],
    ["cool-down", job, { gates: { ...openGates, cooldown: { remainingMs: 800 } } }, "COOLDOWN"],
    ["memory stalls", job, { gates: { ...openGates, pressure: { memorySome: 0.2, memoryFull: 0.1 } } }, "PSI_MEM"],
    [
      "stalls do not hold a scan",
      scan,
      { gates: { ...openGates, pressure: { memorySome: 1, memoryFull: 1 } } },
      "admit",
    ],
    ["others use the CPUs", job, { cpuThreshold: 0.8, gates: cpu(0, 0.9) }, "CPU_THRESHOLD"],
    [
      "as many of a kind that waits as get the most done",
      { ...job, queue: "exec.curl@14" },
      waiting(3, 3),
      "CLASS_LIMIT",
    ],
    [
      "fewer of a kind that waits, though the cores are promised",
      { ...job, queue: "exec.curl@14" },
      waiting(2, 3),
      "admit",
    ],
    ["another kind beside as many as may run of one", { ...job, queue: "exec.gzip@14" }, waiting(3, 3, 0), "admit"],
    [
      "a job that ended is replaced at the CPU threshold",
      job,
      { cpuThreshold: 0.8, gates: cpu(1), reserved: { cpuCores: 0, processes: 0, insideCores: 0 } },
      "admit",
    ],
    [
      "no more than those at the CPU threshold",
      job,
      { cpuThreshold: 0.8, gates: cpu(1), reserved: { cpuCores: 1, processes: 1, insideCores: 0 } },
      "CPU_THRESHOLD",
    ],
  ];
  test.each(rows)("%s", (_name, request, view, expected) => {
    expect(codeOf(request, view)).toBe(expected);
  });

  test("says what is needed, what is there and on which level", () => {
    const answer = decideAdmission(jobOf(700 * MiB), { ...idleView, outlooks: promisedOutlooks(50 * MiB) });
    expect(answer).toMatchObject({
      kind: "defer",
      code: "MEM_THRESHOLD",
      lacking: "memoryBytes",
      need: 700 * MiB,
      have: Math.floor(0.8 * GiB) - 150 * MiB,
      message:
        "needs 700 MiB of memory, 669.2 MiB is free below 819.2 MiB, the threshold of 80 % " +
        "(100 MiB of 1024 MiB of the cgroup /app in use, 100 MiB of it by other programs, 50 MiB more promised)",
    });
  });

  test("rejects with an error that carries the numbers", () => {
    const answer = decideAdmission(jobOf(2 * GiB), idleView);
    expect(answer).toMatchObject({ kind: "reject", code: "UNSCHEDULABLE", need: 2 * GiB });
    if (answer.kind === "reject") expect(answer.error.message).toContain(String(2 * GiB));
  });

  test("an idle worker admits whatever it does not reject: our own promises never block for ever", () => {
    const empty = { ...idleView, memory: [{ name: "host", limitBytes: GiB, usedBytes: 0 }] };
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 * GiB }),
        fc.double({ min: 0.01, max: 64, noNaN: true }),
        (bytes, cores) => {
          const need = fitToCores({ memoryBytes: bytes, cpuCores: cores, processes: 1 }, 2, 2);
          const request = { ...job, need, memory: flatExpectation(bytes) };
          expect(decideAdmission(request, empty).kind).not.toBe("defer");
        },
      ),
    );
  });

  test("never admits over the threshold of any level", () => {
    const amount = fc.integer({ min: 0, max: 4 * GiB });
    const level = fc.record({
      name: fc.constant("l"),
      limitBytes: fc.integer({ min: 1, max: 4 * GiB }),
      usedBytes: amount,
    });
    fc.assert(
      fc.property(fc.array(level, { minLength: 1, maxLength: 4 }), amount, amount, (memory, growthBytes, bytes) => {
        const answer = decideAdmission(jobOf(bytes), { ...idleView, memory, outlooks: promisedOutlooks(growthBytes) });
        if (answer.kind !== "admit") return;
        for (const { usedBytes, limitBytes } of memory) {
          expect(usedBytes + growthBytes + bytes).toBeLessThanOrEqual(0.8 * limitBytes);
        }
      }),
    );
  });
});

describe("fitToCores", () => {
  const need = (cpuCores: number) => ({ memoryBytes: 1, cpuCores, processes: 1 });

  test("lets as many processes in as a person asks for, on fewer cores", () => {
    const each = fitToCores(need(1), 2, 3).cpuCores;
    expect(3 * each).toBeCloseTo(2);
  });

  test("gives a job that asks for more cores than there are all of them", () => {
    expect(fitToCores(need(64), 1.5, 2).cpuCores).toBe(1.5);
  });

  test("leaves a need that fits as it is", () => {
    expect(fitToCores(need(1), 4, 3)).toEqual(need(1));
  });
});
