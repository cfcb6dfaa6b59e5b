/** What Redis says of itself, in the metrics of the scheduler: memory, clients, persistence, replicas. */
import type { Redis } from "ioredis";
import type { MetricNameOf } from "../contract/metric-names.ts";
import type { Metrics } from "../platform/metrics.ts";
import { parseInfo } from "../platform/redis-check.ts";

export interface RedisMetricsDeps {
  readonly redis: Redis;
  readonly metrics: Metrics;
}

type Info = ReadonlyMap<string, string>;

/** Gauges that are one field of INFO each. */
const fields = [
  ["headroom_redis_memory_bytes", "used_memory"],
  ["headroom_redis_memory_max_bytes", "maxmemory"],
  ["headroom_redis_fragmentation_ratio", "mem_fragmentation_ratio"],
  ["headroom_redis_clients", "connected_clients"],
  ["headroom_redis_clients_max", "maxclients"],
  ["headroom_redis_commands_per_second", "instantaneous_ops_per_sec"],
  ["headroom_redis_uptime_seconds", "uptime_in_seconds"],
  ["headroom_redis_aof_enabled", "aof_enabled"],
  ["headroom_redis_replicas", "connected_slaves"],
] as const satisfies readonly (readonly [MetricNameOf<"gauge">, string])[];

const writes = [
  ["aof", "aof_last_write_status"],
  ["aof-rewrite", "aof_last_bgrewrite_status"],
  ["snapshot", "rdb_last_bgsave_status"],
] as const;

/** Reads INFO and sets the gauges. A field that this server does not tell is not told. */
export async function collectRedis({ redis, metrics }: RedisMetricsDeps): Promise<void> {
  const info = parseInfo(await redis.info());
  for (const [name, field] of fields) {
    const value = info.get(field);
    if (value !== undefined) metrics.gauge(name).set(Number(value));
  }
  const policy = info.get("maxmemory_policy");
  if (policy !== undefined) metrics.gauge("headroom_redis_evicts").set(policy === "noeviction" ? 0 : 1);
  for (const [write, field] of writes) {
    metrics.gauge("headroom_redis_write_ok").set({ write }, (info.get(field) ?? "ok") === "ok" ? 1 : 0);
  }
  tellLag(metrics, info);
}

function tellLag(metrics: Metrics, info: Info): void {
  const { bytes, seconds } = worstLag(info);
  const told = [
    ["headroom_redis_replication_lag_bytes", bytes],
    ["headroom_redis_replication_lag_seconds", seconds],
  ] as const;
  for (const [name, value] of told) {
    if (value === undefined) metrics.gauge(name).remove();
    else metrics.gauge(name).set(value);
  }
}

/** How far the replica that is last is behind: bytes by offset, and seconds since it was heard of; nothing without replicas. */
export function worstLag(info: Info): { readonly bytes?: number; readonly seconds?: number } {
  const written = Number(info.get("master_repl_offset") ?? 0);
  const replicas = [...info].flatMap(([name, text]) => (/^slave\d+$/.test(name) ? [replicaOf(text)] : []));
  if (replicas.length === 0) return {};
  return {
    bytes: Math.max(...replicas.map(({ offset }) => Math.max(0, written - offset))),
    seconds: Math.max(...replicas.map(({ lag }) => lag)),
  };
}

/** `ip=…,port=…,state=online,offset=123,lag=1` */
function replicaOf(text: string): { readonly offset: number; readonly lag: number } {
  const parts = new Map(text.split(",").map((part) => [part.split("=")[0] ?? "", part.split("=")[1] ?? ""]));
  return { offset: Number(parts.get("offset") ?? 0), lag: Number(parts.get("lag") ?? 0) };
}
