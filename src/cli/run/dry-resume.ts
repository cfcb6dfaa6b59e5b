/** What a resume would do: the run's files before the code that decides what is reused, with nothing started. */
import type { Config } from "../../contract/config.ts";
import { ConflictError, exitCodes, InvalidInputError } from "../../contract/errors.ts";
import { isTerminal } from "../../contract/outcomes.ts";
import type { RunRecord } from "../../contract/run-record.ts";
import { narrowAllow, taskOf } from "../../contract/task-limits.ts";
import { loadModel } from "../../platform/models/model-folder.ts";
import { PolicyGate } from "../../platform/policy-gate.ts";
import { newTraceId } from "../../platform/trace.ts";
import { ownRun } from "../../producer/own-run.ts";
import { resumedSpec } from "../../producer/resumed-spec.ts";
import { ResumeForecast } from "../../worker/resume-forecast.ts";
import { loadBlame } from "../../worker/result/chunk-plan.ts";
import { openCluster, type Cluster } from "../cluster.ts";
import { Interrupt } from "../interrupt.ts";
import { openLogFile } from "../log-file.ts";
import { logLevelOf, type Place } from "../settings.ts";
import { tellInputs } from "./dry-run.ts";
import { refuseFlowOptions } from "./refusals.ts";
import { openResumePlan } from "./resume-plan.ts";
import type { PlanRequest, RunPlan } from "./run-plan.ts";

interface DryResume {
  readonly config: Config;
  /** The resume would take the model as it is by now. */
  readonly isOfInfer: boolean;
}

/** Tells what `--resume` would run now; what the shell gets. */
export async function dryResume(request: PlanRequest, place: Place, about: DryResume): Promise<number> {
  const log = openLogFile(place.home, logLevelOf(request.io.env, about.config.logging.level), { process: "run" });
  try {
    using interrupt = new Interrupt(() => undefined);
    await using cluster = await openCluster(place, log.logger);
    return await tell(cluster, request, { ...about, signal: interrupt.signal }).catch((error: unknown) => {
      if (interrupt.isAsked) return exitCodes.interrupted;
      throw error;
    });
  } finally {
    log.flush();
  }
}

async function tell(
  { store, redis, place }: Cluster,
  request: PlanRequest,
  { config, isOfInfer, signal }: DryResume & { readonly signal: AbortSignal },
): Promise<number> {
  const { flags, io } = request;
  const before = endedRun(await store.runs.get(flags.resume ?? ""), flags.resume ?? "");
  refuseFlowOptions(flags, `run ${before.id}, which is one over files`);
  const plan = await openResumePlan(before, request, config, isOfInfer ? withModel : unchanged);
  try {
    const task = taskOf(process.env);
    const gate = new PolicyGate(narrowAllow(config.allow, task));
    const spec = resumedSpec(before.spec, plan.change, { gate, task, traceId: newTraceId() });
    if (spec.perChunk) {
      throw refused(
        "--resume of a run that takes one file per call: what goes into a call is decided as it runs",
        "{inputs}",
      );
    }
    const { id: runId, epoch, createdAtMs } = before;
    const run = { runId, spec, epoch: epoch + 1, state: "queued", createdAtMs } as const;
    const blame = await loadBlame(redis, place.kp);
    const forecast = new ResumeForecast({ files: store.files, gate, blame, signal }, run);
    const pages = plan.list?.pages() ?? store.inputs.pages(runId);
    return await tellInputs({ run, pages, files: store.files, forecast }, io, flags.json === true);
  } finally {
    plan.list?.close();
  }
}

function endedRun(found: RunRecord | undefined, id: string): RunRecord {
  const run = ownRun(found, id);
  if (run.spec.executor === "flow") throw refused("--resume of a run over files", `run ${id}, a flow`);
  if (isTerminal(run.state)) return run;
  throw new ConflictError(`run ${id}: expected it to have ended, found it ${run.state}`);
}

function refused(expected: string, found: string): InvalidInputError {
  return new InvalidInputError("command line", [{ where: "--dry-run", expected, found }]);
}

async function withModel(plan: RunPlan): Promise<RunPlan> {
  const { sha256 } = await loadModel(plan.spec.command[0] ?? "");
  return { ...plan, spec: { ...plan.spec, binarySha256: sha256 } };
}

function unchanged(plan: RunPlan): Promise<RunPlan> {
  return Promise.resolve(plan);
}
