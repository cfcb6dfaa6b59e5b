/** What does the work of chunks: threads that start processes, and processes that have models loaded. */
import { ServiceGroup, type Service } from "../platform/lifecycle.ts";
import { PolicyGate } from "../platform/policy-gate.ts";
import type { RunHash } from "../platform/run-hash.ts";
import { ChunkRunner } from "./executor/chunk-runner.ts";
import { EnginePool } from "./inference/engine-pool.ts";
import { placementText } from "./inference/placement.ts";
import { InferRunner } from "./inference/infer-runner.ts";
import type { Step } from "./governor/step.ts";
import type { WorkerConfig, WorkerDeps } from "./worker-port.ts";

export class Executors implements Service {
  readonly runner: ChunkRunner;
  readonly inferRunner: InferRunner;
  readonly #group: ServiceGroup;

  constructor({ logger, clock, metrics, engine }: WorkerDeps, config: WorkerConfig, hash: RunHash) {
    const { nice, allow, workerId } = config;
    this.runner = new ChunkRunner({ logger, clock }, { nice, oomScoreAdj: 1_000, allow });
    const pool = new EnginePool({ logger, clock, metrics }, engine);
    this.inferRunner = new InferRunner({
      ...{ pool, clock, gate: new PolicyGate(allow) },
      onModel: (runId, { model, provider, placement, refusals }) =>
        hash.noteModel(runId, workerId, {
          ...{ sha256: model.sha256, provider: placementText(provider, placement) },
          refusals: refusals.map((refusal) => `${refusal.provider}: ${refusal.reason}`),
        }),
    });
    this.#group = new ServiceGroup([this.runner, pool]);
  }

  start(): Promise<void> {
    return this.#group.start();
  }

  stop(deadline?: AbortSignal): Promise<void> {
    return this.#group.stop(deadline);
  }

  /** While it is set no process is begun. A model's batch takes a moment, and is not kept from its end. */
  setWindingDown(isWindingDown: boolean): void {
    this.runner.setWindingDown(isWindingDown);
  }

  /** Takes a step against what a job runs now. A model's batch can be ended, and its files go again; it is not held. */
  readonly enforce = (step: Step): void => {
    this.runner.enforce(step);
    if (step.kind === "end") this.inferRunner.evict(step.jobId, step.message);
  };
}
