/** What a command line changes in a run that it begins anew. */
import type { RunRecord } from "../../contract/run-record.ts";
import type { RunSpecInput } from "../../contract/run-request.ts";
import type { Config } from "../../contract/config.ts";
import type { ListedInput } from "./listed-input.ts";
import { resumeChange } from "./resume-change.ts";
import { loadRunConfig, openRunPlan, type PlanRequest, type RunPlan } from "./run-plan.ts";

export interface ResumePlan {
  readonly change: Partial<RunSpecInput>;
  /** A list that takes the place of the one of before. The caller closes it. */
  readonly list: ListedInput | undefined;
}

/** `look` takes the plan that is asked for as far as it can be seen before the run, and may add to it. */
export async function openResumePlan(
  { spec }: Pick<RunRecord, "spec">,
  request: Omit<PlanRequest, "earlier">,
  config: Config,
  look: (asked: RunPlan) => Promise<RunPlan>,
): Promise<ResumePlan> {
  const { io, home } = request;
  const earlier = { executor: spec.executor, command: spec.command, outputRoot: spec.output.root, input: spec.input };
  const asked = await openRunPlan({ ...request, earlier }, config);
  try {
    const plain = loadRunConfig({ flags: {}, childCommand: undefined, io: { ...io, env: {} } });
    const unasked = { flags: {}, childCommand: undefined, io: { ...io, env: { PATH: io.env["PATH"] } } };
    const silent = await openRunPlan({ ...unasked, home, earlier }, plain);
    return { change: resumeChange(spec, (await look(asked)).spec, silent.spec), list: asked.list };
  } catch (error) {
    asked.list?.close();
    throw error;
  }
}
