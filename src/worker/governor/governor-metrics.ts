/** The governor's figures in the metrics of its process. */
import { resourceNames } from "../../contract/resources.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { GovernorMetrics, GovernorSnapshot } from "./governor-port.ts";

/** Counts into the worker's metrics. */
export function createGovernorMetrics(metrics: Metrics): GovernorMetrics {
  return {
    decided: (decision, reason) => {
      metrics.counter("headroom_admissions_total").inc({ decision, reason });
    },
    evicted: (reason) => {
      metrics.counter("headroom_governor_kills_total").inc({ reason });
    },
  };
}

/** Sets the gauges from a snapshot at each exposition. */
export function exposeGovernor(metrics: Metrics, snapshot: () => GovernorSnapshot): void {
  metrics.onCollect(() => {
    const now = snapshot();
    metrics.gauge("headroom_room_kept").set(now.keepsRoomFor === null ? 0 : 1);
    for (const resource of resourceNames) {
      metrics.gauge("headroom_capacity").set({ resource }, now.capacity[resource]);
      metrics.gauge("headroom_reserved").set({ resource }, now.reserved[resource]);
      metrics.gauge("headroom_observed").set({ resource }, now.observed[resource]);
      metrics.gauge("headroom_headroom").set({ resource }, now.headroom[resource]);
    }
  });
}
