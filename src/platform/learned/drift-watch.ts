/**
 * Whether the jobs of a class have come to last longer, or to keep more cores busy, than was learned of them. That is told and
 * nothing else: what is learned of both follows by itself, and a promise of memory does not hang on it.
 */
import type { Expectation } from "../../contract/expectation.ts";
import type { DriftTarget } from "../../contract/run-record.ts";
import { isDrift } from "./anomaly.ts";

type WatchedTarget = Exclude<DriftTarget, "memory">;

/** With fewer jobs known, or with less than this more than 19 of 20 of them took, nobody is told. In ms, and in cores. */
const LEAST_SAMPLES = 20;
const LEAST_RATIO = 1.3;
const LEAST_EXCESS = { duration: 1_000, cpu: 0.25 } as const satisfies Record<WatchedTarget, number>;
/** A shorter process has used too few ticks of the clock that counts CPU time. */
const CPU_AFTER_MS = 500;
/** A class that was told of is told of again only after so few of its last jobs were beyond. */
const KEPT = 30;
const FEW_BEYOND = 3;
const MAX_CLASSES = 256;

interface Watched {
  readonly beyond: boolean[];
  isTold: boolean;
}

/** What this process has seen, class by class. */
export class DriftWatch {
  readonly #watched = new Map<string, Watched>();

  /** Takes a job that ended well, and what was expected of it. Returns what its class is found to take more of from now on. */
  note(
    classKey: string,
    { durationMs, cpuMs }: { readonly durationMs: number; readonly cpuMs: number },
    expected: Pick<Expectation, "samples" | "durationMs" | "cpuCores">,
  ): readonly WatchedTarget[] {
    if (expected.samples < LEAST_SAMPLES) return [];
    const cores = durationMs < CPU_AFTER_MS ? undefined : cpuMs / durationMs;
    const judged = [
      ["duration", durationMs, expected.durationMs?.p95],
      ["cpu", cores, expected.cpuCores?.p95],
    ] as const;
    return judged.flatMap(([target, value, usual]) => {
      if (value === undefined || usual === undefined) return [];
      const isBeyond = value > Math.max(LEAST_RATIO * usual, usual + LEAST_EXCESS[target]);
      return this.#isNews(`${classKey} ${target}`, isBeyond) ? [target] : [];
    });
  }

  #isNews(name: string, isBeyond: boolean): boolean {
    if (!this.#watched.has(name) && this.#watched.size >= MAX_CLASSES) this.#watched.clear();
    const watched = this.#watched.get(name) ?? { beyond: [], isTold: false };
    this.#watched.set(name, watched);
    watched.beyond.push(isBeyond);
    if (watched.beyond.length > KEPT) watched.beyond.shift();
    const count = watched.beyond.filter((one) => one).length;
    if (watched.isTold && watched.beyond.length === KEPT && count <= FEW_BEYOND) {
      // It keeps to what is known by now: from here on it is judged anew.
      watched.isTold = false;
      watched.beyond.length = 0;
    }
    if (watched.isTold || !isDrift(watched.beyond)) return false;
    watched.isTold = true;
    return true;
  }
}
