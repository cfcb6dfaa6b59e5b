/** The metrics of schedulers: part of the table in metric-names.ts. */
import type { MetricDefinition } from "./metric-definition.ts";

export const schedulerMetrics = {
  headroom_leader: {
    type: "gauge",
    help: "Whether this scheduler leads: 1 or 0.",
    labels: [],
  },
  headroom_workers: {
    type: "gauge",
    help: "Workers that have told of themselves in the last minute, by what they said last, or silent when that is older than 15 s.",
    labels: ["state"],
  },
  headroom_repairs_total: {
    type: "counter",
    help: "What a leader found out of place and mended, by what it was.",
    labels: ["repair"],
  },
  headroom_schedule_starts_total: {
    type: "counter",
    help: "Times of schedules, by what became of them: started, skipped or refused.",
    labels: ["result"],
  },
  headroom_scaling_workers_wanted: {
    type: "gauge",
    help: "Workers that the jobs of a profile ask for, within the limits and after the cooldown.",
    labels: ["profile"],
  },
  headroom_scaling_runnable_jobs: {
    type: "gauge",
    help: "Jobs of a profile that a worker with room could begin now.",
    labels: ["profile"],
  },
} as const satisfies Record<string, MetricDefinition>;
