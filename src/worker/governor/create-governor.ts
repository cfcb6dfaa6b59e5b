/** The governor of a worker with the sensors of its machine, the ledger that it shares there, and its metrics. */
import type { WorkerConfig, WorkerDeps } from "../worker-port.ts";
import { CapacitySensor, createProbes } from "./capacity.ts";
import { createGovernorMetrics } from "./governor-metrics.ts";
import type { Governor } from "./governor.ts";
import type { GovernorDeps } from "./governor-port.ts";
import { MachineLedger, machineFolder } from "./machine-ledger.ts";
import { exposeMachine } from "./machine-metrics.ts";
import { MeteredGovernor } from "./metered-governor.ts";
import { systemRoots } from "./probes/probe.ts";
import { ProcessTrees } from "./probes/process-trees.ts";
import type { Step } from "./step.ts";

export function createGovernor(
  {
    logger,
    clock,
    metrics,
    plugins,
    onWait,
    ...shared
  }: Pick<WorkerDeps, "logger" | "clock" | "metrics" | "plugins"> &
    Pick<GovernorDeps, "longWaits" | "classLimits"> & {
      /** A queue begins to wait, or waits for something else from now on. */
      readonly onWait: () => void;
    },
  { governor, labels, workerId }: Pick<WorkerConfig, "governor" | "labels" | "workerId">,
  act: (step: Step) => void,
): Governor {
  const sensor = new CapacitySensor(createProbes(systemRoots, { plugins: plugins?.probes ?? [] }));
  exposeMachine(metrics, sensor);
  return new MeteredGovernor(
    {
      ...shared,
      ...{ logger, clock, sensor, act, metrics: createGovernorMetrics(metrics, onWait) },
      pluginRules: plugins?.rules ?? [],
      processes: new ProcessTrees(systemRoots),
      shared: new MachineLedger(machineFolder(), workerId, logger),
    },
    { ...governor, labels },
    (seconds) => {
      metrics.counter("headroom_governor_cpu_seconds_total").inc(seconds);
    },
  );
}
