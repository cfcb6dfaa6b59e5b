/** A way into a cluster: Redis (given, or the embedded one of the data folder), the store, and the client over both. */
import type { Redis } from "ioredis";
import type { Allow } from "../contract/allow.ts";
import type { WorkerHeartbeat } from "../contract/status.ts";
import { systemClock } from "../platform/clock.ts";
import { startEmbeddedRedis, type EmbeddedRedis } from "../platform/embedded-redis.ts";
import type { Logger } from "../platform/logger.ts";
import { checkRedis } from "../platform/redis-check.ts";
import { closeRedis, openRedis } from "../platform/redis.ts";
import { isAlive, isProcessThere, loadHeartbeats } from "../platform/worker-heartbeats.ts";
import type { Client } from "../producer/client.ts";
import type { Store } from "../store/store.ts";
import type { Place } from "./settings.ts";

export interface Cluster extends AsyncDisposable {
  readonly place: Place;
  readonly logger: Logger;
  readonly redisUrl: string;
  readonly redis: Redis;
  readonly store: Store;
  readonly client: Client;
  /** Whether the Redis is the one of the data folder. */
  readonly isEmbedded: boolean;
  /** What an operator should know of this Redis, though jobs can run. */
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/**
 * Starts or finds what the place names. `allow` is what its client lets runs and flows use. The caller closes it; then an embedded Redis that nobody else uses ends.
 * @throws {InfrastructureError} when Redis or the store does not answer, {UnsafeRedisError} when jobs would be lost there.
 */
export async function openCluster(place: Place, logger: Logger, allow: Allow = {}): Promise<Cluster> {
  const opened: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    // Each is closed whatever became of the others; the last one opened first.
    const errors: unknown[] = [];
    for (const release of opened.splice(0).toReversed()) {
      await release().catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0)
      throw errors.length === 1 ? errors[0] : new AggregateError(errors, "not everything was closed");
  };
  try {
    const starting = place.redisUrl === undefined ? startEmbeddedRedis({ home: place.home, logger }) : undefined;
    if (starting !== undefined) {
      // A start that failed has left nothing behind.
      const started = starting.catch(() => undefined);
      opened.push(async () => (await started)?.stop());
    }
    // Loaded when they are needed, while Redis starts: help and refusals must not wait for them.
    const [embedded, { createClient }, { openStore }] = await Promise.all([
      starting,
      import("../producer/client.ts"),
      import("../store/open-store.ts"),
    ]);
    const redisUrl = place.redisUrl ?? urlOf(embedded);
    const redis = openRedis(redisUrl, "command", logger);
    opened.push(() => closeRedis(redis));
    const { warnings } = await checkRedis(redis, place);
    const store = await openStore(place.storeUrl, logger);
    opened.push(() => store.close());
    await store.migrate();
    const isEmbedded = embedded !== undefined;
    const client = await createClient({ redis, store, prefix: place.prefix, logger, isEmbedded, allow });
    opened.push(() => client.close());
    return { place, logger, redisUrl, redis, store, client, isEmbedded, warnings, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close().catch((closeError: unknown) => {
      logger.warn({ err: closeError }, "not everything was closed after a failed start");
    });
    throw error;
  }
}

function urlOf(embedded: EmbeddedRedis | undefined): string {
  if (embedded === undefined) throw new TypeError("expected an embedded redis or a URL");
  return embedded.url;
}

/**
 * The workers of this cluster that live. In an embedded one all are of this machine: one whose process has ended does not
 * live, whatever its heartbeat says. In another, process numbers of containers with one host name would mislead.
 */
export async function loadLiveWorkers(
  cluster: Pick<Cluster, "redis" | "place" | "isEmbedded">,
): Promise<WorkerHeartbeat[]> {
  const beats = await loadHeartbeats(cluster.redis, cluster.place.kp);
  const isThere = (beat: WorkerHeartbeat) => !cluster.isEmbedded || isProcessThere(beat);
  return beats.filter((beat) => isAlive(beat, systemClock.nowMs()) && isThere(beat));
}
