import type { Page } from "./page.ts";

export const redis: Page = {
  uid: "headroom-redis",
  title: "Redis",
  rows: [
    {
      title: "Room and load",
      panels: [
        {
          title: "Memory",
          unit: "bytes",
          queries: [
            ["max(headroom_redis_memory_bytes{$f})", "used"],
            ["max(headroom_redis_memory_max_bytes{$f})", "limit (0: none)"],
          ],
        },
        {
          title: "Memory, used share",
          unit: "ratio",
          note: "At 0.8 the intake refuses new runs.",
          needs: "a limit on the memory of Redis",
          queries: [["headroom:redis_memory_ratio{$f}", "used"]],
        },
        {
          title: "Held over used",
          unit: "count",
          queries: [["max(headroom_redis_fragmentation_ratio{$f})", "fragmentation"]],
        },
        {
          title: "Connections",
          unit: "count",
          queries: [["max(headroom_redis_clients{$f})", "connections"]],
        },
        {
          title: "Commands",
          unit: "perSecond",
          queries: [["max(headroom_redis_commands_per_second{$f})", "commands"]],
        },
        {
          title: "Processes that reach Redis and the store",
          unit: "count",
          queries: [
            ["min by (instance) (headroom_redis_up{$w})", "{{instance}} Redis"],
            ["min by (instance) (headroom_store_up{$w})", "{{instance}} store"],
          ],
        },
      ],
    },
    {
      title: "Safety",
      panels: [
        {
          title: "Last write went well",
          unit: "count",
          queries: [["min by (write) (headroom_redis_write_ok{$f})", "{{write}}"]],
        },
        {
          title: "Append-only file, and dropping of keys",
          unit: "count",
          queries: [
            ["max(headroom_redis_aof_enabled{$f})", "append-only file (1: good)"],
            ["max(headroom_redis_evicts{$f})", "drops keys (0: good)"],
          ],
        },
        { title: "Uptime", unit: "seconds", queries: [["max(headroom_redis_uptime_seconds{$f})", "uptime"]] },
        { title: "Replicas", unit: "count", queries: [["max(headroom_redis_replicas{$f})", "replicas"]] },
        {
          title: "Lag of the last replica",
          unit: "seconds",
          needs: "a replica",
          queries: [["max(headroom_redis_replication_lag_seconds{$f})", "seconds"]],
        },
        {
          title: "Clocks against that of Redis",
          unit: "seconds",
          queries: [["max by (instance) (abs(headroom_clock_skew_seconds{$w}))", "{{instance}}"]],
        },
      ],
    },
    {
      title: "Schedulers",
      panels: [
        { title: "Who leads", unit: "count", queries: [["max by (instance) (headroom_leader{$w})", "{{instance}}"]] },
        {
          kind: "areas",
          title: "Jobs that Redis holds",
          unit: "count",
          queries: [["sum by (job_name) (headroom:queue_jobs{$f})", "{{job_name}}"]],
        },
        {
          title: "Jobs that are delayed",
          unit: "count",
          queries: [['sum by (job_name) (headroom:queue_jobs{$f,state="delayed"})', "{{job_name}}"]],
        },
      ],
    },
  ],
};
