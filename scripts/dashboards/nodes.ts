import type { Page, PanelRow } from "./page.ts";

/** What is promised, measured and left of one resource. */
const room = (title: string, resource: string, unit: PanelRow["unit"]): PanelRow => ({
  title,
  unit,
  queries: (["capacity", "reserved", "observed", "headroom"] as const).map((what) => [
    `sum by (instance) (headroom_${what}{$w,resource="${resource}"})`,
    `{{instance}} ${what}`,
  ]),
});

export const nodes: Page = {
  uid: "headroom-nodes",
  title: "Nodes and governor",
  rows: [
    {
      title: "Room",
      panels: [
        room("Memory", "memoryBytes", "bytes"),
        room("Cores", "cpuCores", "count"),
        room("Processes", "processes", "count"),
      ],
    },
    {
      title: "Governor",
      panels: [
        {
          title: "Why queues began to wait, in 10 minutes",
          unit: "count",
          queries: [
            ['sum by (reason) (increase(headroom_admissions_total{$w,decision!="admit"}[10m])) > 0', "{{reason}}"],
          ],
        },
        {
          title: "Refuses everything since",
          unit: "seconds",
          queries: [["max by (instance) (headroom_refusing_seconds{$w})", "{{instance}}"]],
        },
        {
          title: "Time since the last claim",
          unit: "seconds",
          queries: [["max by (instance) (headroom_last_claim_age_seconds{$w})", "{{instance}}"]],
        },
        {
          title: "Steps against running jobs",
          unit: "count",
          queries: [["sum by (step) (increase(headroom_enforcement_steps_total{$w}[5m]))", "{{step}} in 5 minutes"]],
        },
        {
          title: "Jobs that stand still or are slowed",
          unit: "count",
          queries: [["sum by (instance, state) (headroom_enforced_jobs{$w})", "{{instance}} {{state}}"]],
        },
        {
          title: "Share of a core for the governor itself",
          unit: "ratio",
          queries: [["sum by (instance) (rate(headroom_governor_cpu_seconds_total{$w}[5m]))", "{{instance}}"]],
        },
        {
          title: "Time since Redis answered the pull loop",
          unit: "seconds",
          queries: [["max by (instance) (headroom_pull_age_seconds{$w})", "{{instance}}"]],
        },
      ],
    },
    {
      title: "Machine",
      panels: [
        {
          title: "Pressure",
          needs: "a kernel that tells of pressure",
          unit: "ratio",
          queries: [
            ["max by (instance, resource, kind) (headroom_pressure_ratio{$w})", "{{instance}} {{resource}} {{kind}}"],
          ],
        },
        { title: "Load", unit: "count", queries: [["max by (instance) (headroom_load_average{$w})", "{{instance}}"]] },
        {
          title: "Throttled by a quota",
          needs: "a quota on CPU time",
          unit: "ratio",
          queries: [["max by (instance) (headroom_cpu_throttled_ratio{$w})", "{{instance}}"]],
        },
        {
          title: "Volumes, free share",
          unit: "ratio",
          queries: [
            [
              "min by (instance, use) (headroom_volume_free_bytes{$w} / headroom_volume_bytes{$w})",
              "{{instance}} {{use}}",
            ],
          ],
        },
        {
          title: "Disk traffic",
          unit: "bytesPerSecond",
          queries: [
            [
              "sum by (instance, scope, direction) (headroom_disk_bytes_per_second{$w})",
              "{{instance}} {{scope}} {{direction}}",
            ],
          ],
        },
        {
          title: "Network",
          unit: "bytesPerSecond",
          queries: [
            ["sum by (instance, direction) (headroom_network_bytes_per_second{$w})", "{{instance}} {{direction}}"],
          ],
        },
        {
          title: "Limits on processes and files, used share",
          unit: "ratio",
          queries: [
            ["max by (instance, of) (headroom_limit_used{$w} / (headroom_limit{$w} > 0))", "{{instance}} {{of}}"],
          ],
        },
        {
          title: "Temperature",
          needs: "a sensor",
          unit: "celsius",
          queries: [["max by (instance) (headroom_temperature_celsius{$w})", "{{instance}}"]],
        },
        {
          title: "Power",
          needs: "a sensor",
          unit: "watts",
          queries: [["sum by (instance) (headroom_power_watts{$w})", "{{instance}}"]],
        },
        {
          title: "Probes that read",
          unit: "count",
          queries: [["min by (instance, probe) (headroom_probe_up{$w})", "{{instance}} {{probe}}"]],
        },
        {
          title: "Memory of the processes of Headroom",
          unit: "bytes",
          queries: [["max by (instance) (process_resident_memory_bytes{$w})", "{{instance}}"]],
        },
        {
          title: "CPU of the processes of Headroom",
          unit: "count",
          queries: [
            ["sum by (instance) (rate(process_cpu_seconds_total{$w}[$__rate_interval]))", "{{instance}} cores"],
          ],
        },
      ],
    },
  ],
};
