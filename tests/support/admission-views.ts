/** What the rules of admission are asked in tests: an ordinary job, and a worker that has nothing to do. */
import { GiB, MiB } from "../../src/contract/resources.ts";
import type { AdmissionView, Gates, Request } from "../../src/worker/governor/admission-view.ts";
import { outlookOf, type Outlook } from "../../src/worker/governor/outlook.ts";
import { noExternalUse } from "../../src/worker/governor/room.ts";
import { flatExpectation } from "../../src/worker/governor/self-tuning.ts";

export const openGates: Gates = { cooldown: undefined, pressure: undefined, cpu: undefined };

export const idleView: AdmissionView = {
  state: "open",
  isSolitary: false,
  labels: new Set(["gpu"]),
  memory: [
    { name: "cgroup /app", limitBytes: GiB, usedBytes: 100 * MiB },
    { name: "host", limitBytes: 24 * GiB, usedBytes: GiB },
  ],
  memoryThreshold: 0.8,
  isMemoryThresholdSet: true,
  systemReserveBytes: 0,
  outlooks: [],
  external: noExternalUse,
  z: 2.33,
  kappa: 1,
  nowMs: 0,
  neighbours: [],
  cpuCores: 2,
  maxProcesses: 2,
  isProcessLimitSet: false,
  reserved: { cpuCores: 0, processes: 0, insideCores: 0 },
  unknown: { running: 0, settled: 0 },
  cpuThreshold: undefined,
  gates: openGates,
};

/** A job with one process that takes so much from its first moment to its last. */
export function jobOf(memoryBytes: number): Request {
  const need = { memoryBytes, cpuCores: 1, processes: 1 };
  return { need, labels: [], isInside: false, memory: flatExpectation(memoryBytes), samples: undefined };
}

/** Work inside the worker. */
export function insideJobOf(memoryBytes: number): Request {
  return { ...jobOf(memoryBytes), need: { memoryBytes, cpuCores: 0.05, processes: 0 }, isInside: true };
}

/** A running job that was promised so much and does not use it yet. */
export function promisedOutlooks(bytes: number): Outlook[] {
  const expectation = flatExpectation(bytes);
  return [outlookOf({ id: "other", expectation, elapsedMs: 0, rssBytes: 0, peakBytes: 0 })];
}
