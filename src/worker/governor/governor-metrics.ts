/** The governor's figures in the metrics of its process. */
import { resourceNames } from "../../contract/resources.ts";
import { enforcedStates } from "../../contract/status.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { GovernorMetrics, GovernorSnapshot } from "./governor-port.ts";

/** Counts into the worker's metrics, and passes on that a queue begins to wait. */
export function createGovernorMetrics(metrics: Metrics, onWait: () => void): GovernorMetrics {
  return {
    decided: (decision, reason) => {
      if (decision !== "admit") onWait();
      metrics.counter("headroom_admissions_total").inc({ decision, reason });
    },
    stepped: ({ kind, reason }) => {
      metrics.counter("headroom_enforcement_steps_total").inc({ step: kind, reason });
    },
  };
}

/** Sets the gauges from a snapshot at each exposition. */
export function exposeGovernor(metrics: Metrics, snapshot: () => GovernorSnapshot): void {
  metrics.onCollect(() => {
    const now = snapshot();
    metrics.gauge("headroom_room_kept").set(now.keepsRoomFor === null ? 0 : 1);
    metrics.gauge("headroom_refusing_seconds").set(now.refusingMs / 1_000);
    for (const resource of resourceNames) {
      metrics.gauge("headroom_capacity").set({ resource }, now.capacity[resource]);
      metrics.gauge("headroom_reserved").set({ resource }, now.reserved[resource]);
      metrics.gauge("headroom_observed").set({ resource }, now.observed[resource]);
      metrics.gauge("headroom_headroom").set({ resource }, now.headroom[resource]);
    }
    for (const { name, reservedBytes } of now.devices) {
      if (reservedBytes === undefined) continue;
      metrics.gauge("headroom_gpu_reserved_bytes").set({ gpu: name.replace(/^gpu /, "") }, reservedBytes);
    }
    for (const state of enforcedStates) {
      const jobs = now.running.filter(({ enforced }) => enforced?.state === state).length;
      metrics.gauge("headroom_enforced_jobs").set({ state }, jobs);
    }
  });
}
