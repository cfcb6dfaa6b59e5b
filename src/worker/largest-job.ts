/**
 * The most memory that one job may ask for so that some worker could ever admit it. A guess (learned, or made after a
 * job was ended for memory) beyond that would keep its job waiting for ever.
 */
import type { Redis } from "ioredis";
import type { Clock } from "../platform/clock.ts";
import { isAlive, loadHeartbeats } from "../platform/worker-heartbeats.ts";

/** Workers come and go slowly next to the chunks that are added. */
const KEPT_MS = 5_000;

export interface LargestJobDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Clock;
}

export class LargestJob {
  readonly #deps: LargestJobDeps;
  readonly #known = new Map<string, { readonly bytes: number; readonly atMs: number }>();

  constructor(deps: LargestJobDeps) {
    this.#deps = deps;
  }

  /** In bytes, among the live workers with all these labels; Infinity when no worker has told. */
  async bytes(labels: readonly string[]): Promise<number> {
    const { redis, kp, clock } = this.#deps;
    const key = labels.toSorted().join(",");
    const known = this.#known.get(key);
    const nowMs = clock.nowMs();
    if (known !== undefined && nowMs - known.atMs < KEPT_MS) return known.bytes;
    const workers = (await loadHeartbeats(redis, kp)).filter(
      (worker) => isAlive(worker, nowMs) && labels.every((label) => worker.labels.includes(label)),
    );
    const told = workers.flatMap(({ largestJobBytes }) => largestJobBytes ?? []);
    const bytes = told.length === 0 ? Infinity : Math.max(...told);
    this.#known.set(key, { bytes, atMs: nowMs });
    return bytes;
  }
}
