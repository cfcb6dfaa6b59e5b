/** What the sensors of a worker would find on this machine: for people who set one up. */
import type { Clock } from "../../platform/clock.ts";
import { CapacitySensor, createProbes, type CapacityReading } from "./capacity.ts";
import { findCgroup, findUnified } from "./probes/cgroup-paths.ts";
import { systemRoots, type ProbeRoots } from "./probes/probe.ts";
import type { ProbeStatus } from "./probes/probe-runner.ts";

export interface Survey {
  /** Where limits are read: cgroups of version 2, of version 1, of both, or nowhere but from the host. */
  readonly mode: "cgroup v2" | "cgroup v1" | "cgroup v1 and v2" | "host";
  readonly reading: CapacityReading;
  readonly statuses: readonly ProbeStatus[];
}

/** Probes that are read off the tick get this long. */
const PATIENCE_MS = 2_000;
const STEP_MS = 100;

export async function surveySensors(clock: Clock, roots: ProbeRoots = systemRoots): Promise<Survey> {
  const sensor = new CapacitySensor(createProbes(roots));
  try {
    const startedMs = clock.monotonicMs();
    for (;;) {
      const nowMs = clock.monotonicMs();
      const reading = sensor.read(nowMs, () => 0);
      const statuses = sensor.statuses();
      const isSettled = statuses.every(({ state }) => state !== "waiting");
      if (isSettled || nowMs - startedMs > PATIENCE_MS) return { mode: modeOf(roots), reading, statuses };
      await clock.sleep(STEP_MS);
    }
  } finally {
    sensor.close();
  }
}

export function modeOf(roots: ProbeRoots): Survey["mode"] {
  const memory = findCgroup(roots, "memory");
  if (memory === undefined) return "host";
  if (memory.version === 2) return "cgroup v2";
  return findUnified(roots) === undefined ? "cgroup v1" : "cgroup v1 and v2";
}
