/** Whether a Redis server is safe for jobs, and how full it is. */
import type { Redis } from "ioredis";
import { InfrastructureError, UnsafeRedisError, messageOf } from "../contract/errors.ts";
import {
  findReplicationFaults,
  parseReplication,
  type ReplicationFacts,
  type ReplicationFault,
} from "./redis-replication.ts";
import type { Durability } from "../contract/config.ts";

/** What a server says about itself. */
export interface RedisFacts {
  /** `redis` or `valkey`. */
  readonly server: string;
  /** The server's own version. */
  readonly version: string;
  /** The version of the Redis commands that it speaks: what is compared with the least one. */
  readonly commandsVersion: string;
  readonly runId: string;
  readonly pid: number;
  readonly replication: ReplicationFacts;
  readonly isCluster: boolean;
  readonly maxMemoryPolicy: string;
  readonly usedMemoryBytes: number;
  /** Undefined when the server has no limit of its own. */
  readonly maxMemoryBytes: number | undefined;
  readonly hasAppendOnlyFile: boolean;
  /** Undefined when the server does not let us read its configuration. */
  readonly hasSnapshots: boolean | undefined;
  /** What an operator should know, though jobs can run. */
  readonly warnings: readonly string[];
}

export const MIN_REDIS_VERSION = "6.2";
const WARN_FILL_RATIO = 0.7;

/** What was asked of a server beside being safe. */
export interface RedisWishes {
  /** `appendonly`: acknowledged jobs must survive a crash. `none`: they need not. Undefined: an operator is told. */
  readonly durability?: Durability | undefined;
}

/**
 * Reads INFO and, where access rules let it, CONFIG.
 * @throws {UnsafeRedisError} with the command that mends it, when jobs would be lost or refused on this server.
 * @throws {InfrastructureError} when it does not answer.
 */
export async function checkRedis(redis: Redis, wishes: RedisWishes = {}): Promise<RedisFacts> {
  const info = await readInfo(redis);
  const cli = cliPrefix(redis);
  refuseOld(info, cli);
  refuseReplica(redis, info);
  refuseOtherKind(redis, info);
  const maxMemoryBytes = numberOf(info, "maxmemory") || undefined;
  const maxMemoryPolicy = info.get("maxmemory_policy") ?? (await readConfig(redis, "maxmemory-policy")) ?? "unknown";
  if (maxMemoryBytes !== undefined && maxMemoryPolicy !== "noeviction") {
    throw new UnsafeRedisError(
      "maxmemory-policy noeviction",
      `${maxMemoryPolicy}, under which jobs vanish when memory is full`,
      `${cli} CONFIG SET maxmemory-policy noeviction, and the same line in its redis.conf`,
    );
  }
  await refuseFailedWrites(redis, info, cli);
  const facts = {
    server: serverOf(info),
    version: info.get("valkey_version") ?? info.get("redis_version") ?? "unknown",
    commandsVersion: info.get("redis_version") ?? "unknown",
    runId: info.get("run_id") ?? "",
    pid: numberOf(info, "process_id"),
    isCluster: info.get("cluster_enabled") === "1",
    maxMemoryPolicy,
    usedMemoryBytes: numberOf(info, "used_memory"),
    maxMemoryBytes,
    hasAppendOnlyFile: info.get("aof_enabled") === "1",
    hasSnapshots: await hasSnapshots(redis),
    replication: parseReplication(info, {
      minReplicasToWrite: await readConfig(redis, "min-replicas-to-write"),
      syncDelaySeconds: await readConfig(redis, "repl-diskless-sync-delay"),
    }),
  };
  refuseForgetful(facts, cli, wishes);
  const faults = redis.options.sentinels ? findReplicationFaults(facts.replication, cli) : [];
  refuseLosingFailover(faults, wishes);
  return { ...facts, warnings: [...warningsOf(facts, cli, wishes), ...faults.map(textOfFault)] };
}

function textOfFault({ expected, found, fix }: ReplicationFault): string {
  return `expected ${expected}, found ${found}; ${fix}`;
}

/** How full Redis is: used memory over its limit, or null when it has no limit of its own. */
export async function memoryFill(redis: Redis): Promise<number | null> {
  const info = parseInfo(await redis.info("memory"));
  const maxBytes = numberOf(info, "maxmemory");
  return maxBytes === 0 ? null : numberOf(info, "used_memory") / maxBytes;
}

/** The fields of an answer to INFO. */
export function parseInfo(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon > 0 && !line.startsWith("#")) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

/** Compares dotted version numbers; a part that is missing counts as 0. */
export function isVersionBelow(version: string, least: string): boolean {
  const found = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  for (const [index, part] of least.split(".").map(Number).entries()) {
    const own = found[index] ?? 0;
    if (own !== part) return own < part;
  }
  return false;
}

async function readInfo(redis: Redis): Promise<ReadonlyMap<string, string>> {
  try {
    return parseInfo(await redis.info());
  } catch (error) {
    if (error instanceof InfrastructureError) throw error;
    throw new InfrastructureError(`expected redis to answer INFO, found: ${messageOf(error)}`, { cause: error });
  }
}

/** One setting, or undefined when an access rule or a hosted service refuses CONFIG. */
async function readConfig(redis: Redis, name: string): Promise<string | undefined> {
  try {
    const [, value] = await redis.config("GET", name);
    return value;
  } catch (error) {
    if (error instanceof InfrastructureError) throw error;
    // NOPERM or an unknown command: the check then goes without what only CONFIG knows.
    return undefined;
  }
}

async function hasSnapshots(redis: Redis): Promise<boolean | undefined> {
  const save = await readConfig(redis, "save");
  return save === undefined ? undefined : save !== "";
}

function refuseOld(info: ReadonlyMap<string, string>, cli: string): void {
  const version = info.get("redis_version") ?? "0";
  if (!isVersionBelow(version, MIN_REDIS_VERSION)) return;
  throw new UnsafeRedisError(
    `version ${MIN_REDIS_VERSION} or newer`,
    version,
    `apt-get install redis-server (or valkey-server) on the host of ${cli.replace("redis-cli ", "")}`,
  );
}

/** Every write to a replica fails, and a replica that takes writes loses them. */
function refuseReplica(redis: Redis, info: ReadonlyMap<string, string>): void {
  if (info.get("role") !== "slave") return;
  const primary = `${info.get("master_host") ?? "?"}:${info.get("master_port") ?? "?"}`;
  const name = redis.options.name ?? "NAME";
  throw new UnsafeRedisError(
    "the role of a primary",
    `a replica of ${primary}, which takes no jobs (READONLY)`,
    `name the primary (redis://${primary}) or its Sentinels (redis+sentinel://host:26379/${name})`,
  );
}

/** A plain connection to a node of a cluster reaches a part of the keys; one made for a cluster needs one. */
function refuseOtherKind(redis: Redis, info: ReadonlyMap<string, string>): void {
  const isCluster = info.get("cluster_enabled") === "1";
  const isNamedCluster = redis.options.Connector !== undefined;
  if (isCluster === isNamedCluster) return;
  const { host = "host", port = 6379 } = redis.options;
  if (isCluster) {
    const fix = `name it by redis+cluster://${host}:${port}`;
    throw new UnsafeRedisError("no cluster mode where one server is named", "a node of a Redis Cluster", fix);
  }
  const fix = "name it by redis://, or start it with cluster-enabled yes";
  throw new UnsafeRedisError("cluster mode where redis+cluster:// names it", "a server without it", fix);
}

function refuseForgetful(
  { hasAppendOnlyFile }: Pick<RedisFacts, "hasAppendOnlyFile">,
  cli: string,
  { durability }: RedisWishes,
): void {
  if (durability !== "appendonly" || hasAppendOnlyFile) return;
  throw new UnsafeRedisError(
    "an append-only file, since redis.durability is appendonly",
    "appendonly no",
    `${cli} CONFIG SET appendonly yes, and the same line in its redis.conf (or redis.durability: none)`,
  );
}

function refuseLosingFailover(faults: readonly ReplicationFault[], { durability }: RedisWishes): void {
  const fault = faults.find(({ kind }) => kind === "loses");
  if (fault === undefined || durability !== "appendonly") return;
  throw new UnsafeRedisError(fault.expected, fault.found, fault.fix);
}

async function refuseFailedWrites(redis: Redis, info: ReadonlyMap<string, string>, cli: string): Promise<void> {
  const failed = [
    { field: "aof_last_write_status", what: "an append-only file that can be written", mend: "BGREWRITEAOF" },
    { field: "aof_last_bgrewrite_status", what: "an append-only file that can be rewritten", mend: "BGREWRITEAOF" },
    { field: "rdb_last_bgsave_status", what: "snapshots that can be written", mend: "BGSAVE" },
  ].find(({ field }) => (info.get(field) ?? "ok") !== "ok");
  if (failed === undefined) return;
  const folder = (await readConfig(redis, "dir")) ?? "redis' data folder";
  throw new UnsafeRedisError(
    failed.what,
    `${failed.field}:${info.get(failed.field) ?? ""}`,
    `make room and check the access rights in ${folder}, then ${cli} ${failed.mend}`,
  );
}

function warningsOf(facts: Omit<RedisFacts, "warnings">, cli: string, { durability }: RedisWishes): string[] {
  const warnings: string[] = [];
  if (!facts.hasAppendOnlyFile && durability !== "none") {
    const rest = facts.hasSnapshots === true ? "snapshots only: a crash loses what came after the last" : "none is set";
    const expected = "expected persistence by an append-only file";
    warnings.push(`${expected}, ${rest}; ${cli} CONFIG SET appendonly yes, and the same line in its redis.conf`);
  }
  const fill = facts.maxMemoryBytes === undefined ? 0 : facts.usedMemoryBytes / facts.maxMemoryBytes;
  if (fill > WARN_FILL_RATIO) {
    warnings.push(`memory is ${Math.round(fill * 100)} % full; at 100 % redis refuses every write`);
  }
  if (facts.maxMemoryBytes === undefined && facts.maxMemoryPolicy !== "noeviction") {
    warnings.push(`maxmemory-policy is ${facts.maxMemoryPolicy}: set it to noeviction before maxmemory is set`);
  }
  if (facts.maxMemoryBytes === undefined) {
    const expected = "expected a maxmemory, near which the intake refuses new runs";
    warnings.push(`${expected}, found none; ${cli} CONFIG SET maxmemory 512mb, and the same line in its redis.conf`);
  }
  return warnings;
}

function serverOf(info: ReadonlyMap<string, string>): string {
  return info.get("server_name") ?? (info.has("valkey_version") ? "valkey" : "redis");
}

function numberOf(info: ReadonlyMap<string, string>, field: string): number {
  return Number(info.get(field) ?? 0);
}

/** The `redis-cli` call that reaches the same server; the password is left for REDISCLI_AUTH. */
function cliPrefix(redis: Redis): string {
  const { path, host, port, tls, sentinels } = redis.options;
  if (path !== undefined) return `redis-cli -s ${path}`;
  if (sentinels) return "redis-cli -h <primary>";
  return `redis-cli -h ${host ?? "localhost"} -p ${port ?? 6379}${tls ? " --tls" : ""}`;
}
