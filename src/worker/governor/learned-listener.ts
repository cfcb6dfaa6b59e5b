/** Tells of predictions and anomalies: in the metrics of the worker, and in the run that they belong to. */
import type { Logger } from "../../platform/logger.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { RunHash } from "../../platform/run-hash.ts";
import type { LearnedListener } from "./learned-runs.ts";

export function createLearnedListener(deps: { metrics: Metrics; hash: RunHash; logger: Logger }): LearnedListener {
  const { metrics, hash, logger } = deps;
  const ratios = metrics.histogram("headroom_prediction_ratio");
  const coverage = metrics.gauge("headroom_prediction_coverage");
  const told = (runId: string, telling: Promise<void>) => {
    telling.catch((err: unknown) => {
      logger.warn({ err, runId }, "anomaly could not be noted in its run");
    });
  };
  return {
    predicted: ({ spec }, { target, basis, ratio }) => {
      ratios.observe({ target, basis, profile: spec.profile }, ratio);
    },
    covered: (profile, ratio) => {
      coverage.set({ profile }, ratio);
    },
    anomaly: ({ runId, spec }, anomaly) => {
      metrics.counter("headroom_anomalies_total").inc({ target: anomaly.target, profile: spec.profile });
      logger.warn({ runId, ...anomaly }, "process takes far more than others of its class");
      told(runId, hash.anomaly(runId, anomaly));
    },
    drifted: ({ runId, spec }, target) => {
      metrics.counter("headroom_class_drifts_total").inc({ target, profile: spec.profile });
      logger.warn({ runId, target, profile: spec.profile }, "class of jobs takes more than was learned of it");
      told(runId, hash.drift(runId, target));
    },
  };
}
