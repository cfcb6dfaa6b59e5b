/** The governor of a worker with the sensors of its machine, the ledger that it shares there, and its metrics. */
import type { WorkerConfig, WorkerDeps } from "../worker-port.ts";
import { CapacitySensor, createProbes } from "./capacity.ts";
import { createGovernorMetrics } from "./governor-metrics.ts";
import { Governor } from "./governor.ts";
import type { LongWaits } from "./long-waits.ts";
import { MachineLedger, machineFolder } from "./machine-ledger.ts";
import { exposeMachine } from "./machine-metrics.ts";
import { systemRoots } from "./probes/probe.ts";
import { ProcessTrees } from "./probes/process-trees.ts";
import type { Step } from "./step.ts";

export function createGovernor(
  {
    logger,
    clock,
    metrics,
    plugins,
    longWaits,
  }: Pick<WorkerDeps, "logger" | "clock" | "metrics" | "plugins"> & { readonly longWaits: LongWaits },
  { governor, labels, workerId }: Pick<WorkerConfig, "governor" | "labels" | "workerId">,
  act: (step: Step) => void,
): Governor {
  const sensor = new CapacitySensor(createProbes(systemRoots, { plugins: plugins?.probes ?? [] }));
  exposeMachine(metrics, sensor);
  return new Governor(
    {
      ...{ logger, clock, sensor, act, longWaits, metrics: createGovernorMetrics(metrics) },
      pluginRules: plugins?.rules ?? [],
      processes: new ProcessTrees(systemRoots),
      shared: new MachineLedger(machineFolder(), workerId, logger),
    },
    { ...governor, labels },
  );
}
