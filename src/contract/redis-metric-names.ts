/** The metrics of Redis: part of the table in metric-names.ts. */
import type { MetricDefinition } from "./metric-definition.ts";

const gauge = <const L extends readonly string[]>(help: string, labels: L) =>
  ({ type: "gauge", help, labels }) as const;

export const redisMetrics = {
  headroom_redis_up: gauge("Whether Redis answered this process when it was asked for its metrics: 1 or 0.", []),
  headroom_clock_skew_seconds: gauge(
    "By how much the clock of this machine is ahead of that of Redis; negative when it is behind.",
    [],
  ),
  headroom_redis_memory_bytes: gauge("Memory that Redis uses.", []),
  headroom_redis_memory_max_bytes: gauge("Memory that Redis may use; 0 when it is not limited.", []),
  headroom_redis_fragmentation_ratio: gauge("Memory that Redis holds over what it uses.", []),
  headroom_redis_evicts: gauge("Whether Redis would drop keys when its memory is full, jobs among them: 1 or 0.", []),
  headroom_redis_clients: gauge("Connections to Redis.", []),
  headroom_redis_clients_max: gauge("Connections that Redis takes at most.", []),
  headroom_redis_commands_per_second: gauge("Commands that Redis carries out per second.", []),
  headroom_redis_uptime_seconds: gauge("Time since Redis started.", []),
  headroom_redis_aof_enabled: gauge("Whether Redis keeps an append-only file: 1 or 0.", []),
  headroom_redis_write_ok: gauge(
    "Whether the last write of Redis to its disk went well: 1 or 0. write: aof, aof-rewrite or snapshot.",
    ["write"],
  ),
  headroom_redis_replicas: gauge("Replicas that are connected to the primary.", []),
  headroom_redis_replication_lag_bytes: gauge("How far the replica that is last is behind the primary.", []),
  headroom_redis_replication_lag_seconds: gauge("Time since the replica that is last has answered the primary.", []),
} as const satisfies Record<`headroom_${string}`, MetricDefinition>;
