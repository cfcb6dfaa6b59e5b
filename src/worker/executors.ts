/** What does the work of chunks: threads that start processes, and processes that have models loaded. */
import { InfrastructureError, messageOf } from "../contract/errors.ts";
import { ServiceGroup, type Service } from "../platform/lifecycle.ts";
import { PolicyGate } from "../platform/policy-gate.ts";
import type { RunHash } from "../platform/run-hash.ts";
import { ChunkRunner } from "./executor/chunk-runner.ts";
import { clearDeadGroups, closeJobGroups, openJobGroups } from "./executor/job-groups.ts";
import type { JobGroup } from "./governor/probes/job-group.ts";
import { EnginePool } from "./inference/engine-pool.ts";
import { placementText } from "./inference/placement.ts";
import { InferRunner } from "./inference/infer-runner.ts";
import type { Step } from "./governor/step.ts";
import type { WorkerConfig, WorkerDeps } from "./worker-port.ts";

export class Executors implements Service {
  readonly runner: ChunkRunner;
  readonly inferRunner: InferRunner;
  readonly #group: ServiceGroup;
  readonly #deps: Pick<WorkerDeps, "logger">;
  readonly #config: WorkerConfig;
  #jobGroups: JobGroup | undefined;

  constructor(deps: WorkerDeps, config: WorkerConfig, hash: RunHash) {
    const { logger, clock, metrics, engine } = deps;
    this.#deps = deps;
    this.#config = config;
    const { nice, allow, workerId } = config;
    this.runner = new ChunkRunner({ logger, clock }, { nice, oomScoreAdj: 1_000, allow });
    const pool = new EnginePool({ logger, clock, metrics }, { ...engine, modelPlugins: allow.model_plugins });
    this.inferRunner = new InferRunner({
      ...{ pool, clock, gate: new PolicyGate(allow) },
      onModel: async (run, { model: { sha256 }, provider, placement, refusals }) => {
        const began = await hash.pinModel(run, sha256);
        if (began === sha256) {
          await hash.noteModel(run.runId, workerId, {
            ...{ sha256, provider: placementText(provider, placement) },
            refusals: refusals.map((refusal) => `${refusal.provider}: ${refusal.reason}`),
          });
        }
        return began;
      },
    });
    this.#group = new ServiceGroup([this.runner, pool]);
  }

  /** @throws {InfrastructureError} when jobs have to run in control groups, and none can be made */
  async start(): Promise<void> {
    this.runner.useGroups(await this.#openGroups());
    await this.#group.start();
  }

  async #openGroups(): Promise<JobGroup | undefined> {
    const { workerId, jobGroups = "off" } = this.#config;
    if (jobGroups === "off") return undefined;
    const { logger } = this.#deps;
    try {
      const groups = openJobGroups(workerId);
      this.#jobGroups = groups;
      logger.info({ groups }, "jobs run in control groups");
      const cleared = await clearDeadGroups(groups);
      if (cleared > 0) logger.warn({ cleared }, "removed control groups of workers that are gone");
      return groups;
    } catch (error) {
      const reason = messageOf(error);
      if (jobGroups === "required")
        throw new InfrastructureError(`resources.job_cgroups: expected to make control groups here, found: ${reason}`);
      logger.info({ reason }, "jobs are measured by their processes: no control groups can be made here");
      return undefined;
    }
  }

  async stop(deadline?: AbortSignal): Promise<void> {
    try {
      await this.#group.stop(deadline);
    } finally {
      await this.#closeGroups();
    }
  }

  async #closeGroups(): Promise<void> {
    const groups = this.#jobGroups;
    this.#jobGroups = undefined;
    if (groups === undefined) return;
    try {
      await closeJobGroups(groups);
    } catch (error) {
      this.#deps.logger.warn({ reason: messageOf(error) }, "control groups of jobs are left to the next worker");
    }
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
