/** Ends the wait for a disk that is full and stays so, where nobody but this command would ever see to it. */
import type { RunStatus } from "../../contract/status.ts";
import { systemClock } from "../../platform/clock.ts";
import type { Cluster } from "../cluster.ts";

/** So long nothing of the run may end, for want of room, before it is given up. */
const PATIENCE_MS = 30_000;
const LOOK_MS = 2_000;

export class RoomWatch {
  readonly #cluster: Cluster;
  #lookedAtMs = -Infinity;
  #since: { readonly doneFiles: number; readonly atMs: number } | undefined;
  #hasGivenUp = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Whether the run was ended because the disk was full. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp;
  }

  /** Looks at the run now and then; cancels it when it has waited for room long enough. */
  async look({ id, progress }: RunStatus): Promise<void> {
    const nowMs = systemClock.monotonicMs();
    if (this.#hasGivenUp || nowMs - this.#lookedAtMs < LOOK_MS) return;
    this.#lookedAtMs = nowMs;
    const { reasons } = await this.#cluster.client.explain(id);
    const room = reasons.find(({ code }) => code === "DISK_FULL");
    if (room === undefined || progress.runningJobs > 0) this.#since = undefined;
    else if (this.#since?.doneFiles !== progress.doneFiles) {
      this.#since = { doneFiles: progress.doneFiles, atMs: nowMs };
    } else if (nowMs - this.#since.atMs >= PATIENCE_MS) {
      this.#hasGivenUp = true;
      const { need, have } = room;
      const found = `${have ?? 0} bytes free, more than ${need ?? 0} needed`;
      const reason = `no room where the outputs go for ${PATIENCE_MS / 1_000} s: ${found}; free some, then resume the run`;
      await this.#cluster.client.cancel(id, reason);
    }
  }
}
