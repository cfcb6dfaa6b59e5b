/** What a worker exposes of its pull loop. */
import type { Metrics } from "../platform/metrics.ts";
import type { PullLoop } from "./pull-loop.ts";

/** Sets the gauges of the loop's ages at each exposition. */
export function exposeLoop(metrics: Metrics, loop: Pick<PullLoop, "ages">): void {
  metrics.onCollect(() => {
    const { claimMs, pullMs } = loop.ages;
    metrics.gauge("headroom_last_claim_age_seconds").set(claimMs / 1_000);
    metrics.gauge("headroom_pull_age_seconds").set(pullMs / 1_000);
  });
}
