/**
 * Lowers the priority of a process and all below it, and gives it back. The kernel keeps it per thread. Where it groups the
 * processes of a session (autogroup), priorities count within the group: jobs are one, so they count among jobs. Only who
 * may raise priorities can give it back: for any other user it stays low until the process ends.
 */
import { constants, setPriority } from "node:os";
import { messageOf } from "../../contract/errors.ts";
import { processesOfTree, threadsOf } from "./process-tree.ts";

/** What it is lowered by: a tenth of the time of one that is not. */
const STEPS = 10;

export class Niceness {
  readonly #base: number;
  readonly #warn: (fields: Record<string, string | number>, text: string) => void;
  #hasWarned = false;

  /** `base`: what processes are started with. */
  constructor(base: number, warn: (fields: Record<string, string | number>, text: string) => void) {
    this.#base = base;
    this.#warn = warn;
  }

  /** `members`: of its control group, where it has one. */
  lower(pid: number, members: readonly number[] = []): void {
    this.#set([pid, members], Math.min(constants.priority.PRIORITY_LOW, this.#base + STEPS));
  }

  restore(pid: number, members: readonly number[] = []): void {
    this.#set([pid, members], this.#base);
  }

  #set(tree: Parameters<typeof processesOfTree>, nice: number): void {
    for (const process of processesOfTree(...tree)) {
      for (const thread of threadsOf(process.pid)) this.#setThread(Number(thread), nice);
    }
  }

  #setThread(thread: number, nice: number): void {
    try {
      setPriority(thread, nice);
    } catch (error) {
      const { info } = error as { info?: { code?: string } };
      if (info?.code === "ESRCH") return; // It ended in between.
      this.#tell(error);
    }
  }

  /** Once: it would be the same for each thread. */
  #tell(error: unknown): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#warn({ reason: messageOf(error) }, "priority of a job could not be set: it stays as it is");
  }
}
