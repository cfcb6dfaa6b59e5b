/** How late the event loop runs its timers, over a sliding window. */
import { monitorEventLoopDelay, type IntervalHistogram } from "node:perf_hooks";
import type { Service } from "./lifecycle.ts";

export interface LagQuantiles {
  readonly p50Seconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
}

const RESOLUTION_MS = 10;
const NO_LAG: LagQuantiles = { p50Seconds: 0, p99Seconds: 0, maxSeconds: 0 };

/**
 * Two windows of `windowMs`: the one that fills and the last full one. A reading is the worse of both, so that several
 * readers see the same figures and a pause is seen for at least one window.
 */
export class EventLoopLag implements Service {
  readonly #windowMs: number;
  readonly #histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #previous: LagQuantiles = NO_LAG;
  #timer: NodeJS.Timeout | undefined;

  constructor(windowMs = 10_000) {
    this.#windowMs = windowMs;
  }

  start(): Promise<void> {
    if (this.#timer === undefined) {
      this.#histogram.enable();
      this.#timer = setInterval(() => {
        this.#previous = this.#read();
        this.#histogram.reset();
      }, this.#windowMs);
      this.#timer.unref();
    }
    return Promise.resolve();
  }

  stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#histogram.disable();
    return Promise.resolve();
  }

  quantiles(): LagQuantiles {
    const current = this.#read();
    return {
      p50Seconds: Math.max(current.p50Seconds, this.#previous.p50Seconds),
      p99Seconds: Math.max(current.p99Seconds, this.#previous.p99Seconds),
      maxSeconds: Math.max(current.maxSeconds, this.#previous.maxSeconds),
    };
  }

  #read(): LagQuantiles {
    if (this.#histogram.count === 0) return NO_LAG;
    return {
      p50Seconds: lateSeconds(this.#histogram.percentile(50)),
      p99Seconds: lateSeconds(this.#histogram.percentile(99)),
      maxSeconds: lateSeconds(this.#histogram.max),
    };
  }
}

/** The histogram holds the whole time between two timers, their interval included. */
function lateSeconds(intervalNs: number): number {
  return Math.max(0, intervalNs / 1e9 - RESOLUTION_MS / 1_000);
}
