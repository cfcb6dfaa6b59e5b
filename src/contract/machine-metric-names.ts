/** The metrics of the machine that a worker runs on, as its probes read it: part of the table in metric-names.ts. */
import type { MetricDefinition } from "./metric-definition.ts";

export const machineMetrics = {
  headroom_cpu_throttled_ratio: {
    type: "gauge",
    help: "Share of the granted CPU time for which a quota kept threads from running. Above 0.05 fewer cores are promised.",
    labels: [],
  },
  headroom_pressure_ratio: {
    type: "gauge",
    help: "Share of the last half second in which some or all tasks stalled for a resource.",
    labels: ["resource", "kind"],
  },
  headroom_load_average: {
    type: "gauge",
    help: "Tasks of the whole machine that ran or waited for a CPU or a disk, averaged over a minute.",
    labels: [],
  },
  headroom_disk_bytes_per_second: {
    type: "gauge",
    help: "Bytes that disks read or wrote per second, of the host or of this cgroup.",
    labels: ["scope", "direction"],
  },
  headroom_disk_operations_per_second: {
    type: "gauge",
    help: "Reads and writes of disks per second, of the host or of this cgroup.",
    labels: ["scope"],
  },
  headroom_disk_busy_ratio: {
    type: "gauge",
    help: "Share of the time in which the busiest disk of the host had something to do.",
    labels: [],
  },
  headroom_volume_free_bytes: {
    type: "gauge",
    help: "Free room of the fullest volume that jobs use for temporary files (scratch) or outputs (output).",
    labels: ["use"],
  },
  headroom_volume_bytes: {
    type: "gauge",
    help: "Room in all, taken or free, of the volume that is told in headroom_volume_free_bytes.",
    labels: ["use"],
  },
  headroom_volume_free_inodes: {
    type: "gauge",
    help: "Files that can still be made on the fullest volume that jobs use for temporary files or outputs.",
    labels: ["use"],
  },
  headroom_limit: {
    type: "gauge",
    help: "Limit on processes or on open files, of each level that has one: a cgroup, the user, the process, the host.",
    labels: ["of", "level"],
  },
  headroom_limit_used: {
    type: "gauge",
    help: "How much of a limit on processes or on open files is used.",
    labels: ["of", "level"],
  },
  headroom_network_bytes_per_second: {
    type: "gauge",
    help: "Bytes received or sent per second by the network namespace of the worker, loopback left out.",
    labels: ["direction"],
  },
  headroom_temperature_celsius: {
    type: "gauge",
    help: "Temperature that a sensor of the machine tells.",
    labels: ["sensor"],
  },
  headroom_heat_throttles_per_second: {
    type: "gauge",
    help: "How often CPUs slowed themselves down for heat, per second.",
    labels: [],
  },
  headroom_power_watts: {
    type: "gauge",
    help: "Power that the CPU packages, or else the power sensors, tell in all.",
    labels: [],
  },
  headroom_gpus_lost: {
    type: "gauge",
    help: "GPUs that the worker sees no more, of the most that it has seen at a time since it started.",
    labels: [],
  },
  headroom_gpu_memory_bytes: {
    type: "gauge",
    help: "Memory of a GPU.",
    labels: ["gpu"],
  },
  headroom_gpu_used_bytes: {
    type: "gauge",
    help: "Memory of a GPU that is in use, by whomever.",
    labels: ["gpu"],
  },
  headroom_gpu_reserved_bytes: {
    type: "gauge",
    help: "Memory of a GPU that is promised to jobs on it, or that they use when it is more: of all workers of the machine that tell each other.",
    labels: ["gpu"],
  },
  headroom_gpu_utilisation_ratio: {
    type: "gauge",
    help: "Share of the last moment in which a GPU computed.",
    labels: ["gpu"],
  },
  headroom_gpu_temperature_celsius: {
    type: "gauge",
    help: "Temperature of a GPU.",
    labels: ["gpu"],
  },
  headroom_gpu_power_watts: {
    type: "gauge",
    help: "Power that a GPU draws.",
    labels: ["gpu"],
  },
  headroom_gpu_processes: {
    type: "gauge",
    help: "Processes that compute on a GPU, by whomever.",
    labels: ["gpu"],
  },
  headroom_probe_up: {
    type: "gauge",
    help: "Whether a probe reads: 1, or 0 for one that is degraded; a probe with nothing to read here is left out.",
    labels: ["probe"],
  },
  headroom_probe_duration_seconds: {
    type: "gauge",
    help: "Time from asking a probe to its last answer.",
    labels: ["probe"],
  },
  headroom_plugin_figure: {
    type: "gauge",
    help: "What the collector of a plugin read last.",
    labels: ["plugin", "figure"],
  },
} as const satisfies Record<`headroom_${string}`, MetricDefinition>;
