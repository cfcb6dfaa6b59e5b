/**
 * Keeps what was learned in the store beside Redis: saved while there is something in Redis, put back when Redis has
 * nothing, which is so after its data was lost. What a person has reset is reset in both (see `headroom learned reset`).
 */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import { loadClasses, parseArchive, archiveOf, putClasses } from "../platform/learned/learned-archive.ts";
import type { Logger } from "../platform/logger.ts";
import type { Store } from "../store/store.ts";

export interface SnapshotDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly logger: Logger;
}

/** Saves what changed since `sinceMs`, or puts all back. Returns when what is saved now was learned last. */
export async function keepLearned({ redis, kp, store, logger }: SnapshotDeps, sinceMs: number): Promise<number> {
  if ((await redis.exists(keys.learnedClasses(kp))) === 0) {
    const restored = await restore({ redis, kp, store, logger });
    if (restored > 0) logger.info({ classes: restored }, "what was learned is put back from the store");
    return 0;
  }
  const classes = await loadClasses(redis, kp);
  const changed = classes.filter(({ atMs }) => atMs > sinceMs);
  if (changed.length > 0) {
    const rows = changed.map(({ key, atMs, fields }) => ({ key, atMs, state: JSON.stringify(fields) }));
    await store.learned.save(
      rows,
      classes.map(({ key }) => key),
    );
  }
  return Math.max(sinceMs, ...classes.map(({ atMs }) => atMs));
}

async function restore({ redis, kp, store, logger }: SnapshotDeps): Promise<number> {
  let restored = 0;
  for (const { key, atMs, state } of await store.learned.load()) {
    try {
      const fields = JSON.parse(state) as Record<string, string>;
      const { classes } = parseArchive(JSON.stringify(archiveOf([{ key, atMs, fields }])), "saved class");
      await putClasses(redis, kp, classes);
      restored += classes.length;
    } catch (error) {
      logger.warn({ err: error, class: key }, "a saved class cannot be read and is not put back");
    }
  }
  return restored;
}
