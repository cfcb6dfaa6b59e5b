/** The first provider that not only takes a model but runs it: warmed up, and with operations of the model on it. */
import type { Provider } from "../../contract/model-manifest.ts";
import type { ModelFolder } from "../../platform/models/model-folder.ts";
import type { Refusal } from "./engine-protocol.ts";
import type { InputFiles } from "./input-file.ts";
import { ModelRefused, type ModelTask } from "./model-task.ts";
import { openTask } from "./open-task.ts";

export interface ProvenTask {
  readonly task: ModelTask;
  /** Rows that a batch had room and time for. */
  readonly fitting: number;
  /** Why providers before the one in use are not. */
  readonly refusals: readonly Refusal[];
}

/** A large model on a CPU takes minutes for the largest batch of the longest texts; it begins with a smaller one. */
const WARM_MS = 10_000;

interface Around {
  readonly files: InputFiles;
  readonly warmRows: number | undefined;
}

/**
 * Opens and warms a model up. A provider that refuses it in its first run is followed by the next one; one that has no
 * memory for it is not, since a process that is made anew may have it.
 *
 * @throws {ModelRefused} when none is left
 */
export async function openProven(
  model: ModelFolder,
  providers: readonly Provider[],
  { files, warmRows }: Around,
): Promise<ProvenTask> {
  const refusals: Refusal[] = [];
  for (let rest = providers; ;) {
    const task = await openNext(model, rest, { files, refusals });
    refusals.push(...task.refusals);
    rest = rest.slice(rest.indexOf(task.session.provider) + 1);
    try {
      const mostMs = warmRows === undefined ? WARM_MS : Infinity;
      const fitting = await task.warmUp(Math.min(warmRows ?? task.mostRows, task.mostRows), mostMs);
      requirePlace(task);
      return { task, fitting, refusals };
    } catch (error) {
      if (!(error instanceof ModelRefused)) throw error;
      await task.session.release();
      if (error.isMemory || rest.length === 0) throw new ModelRefused(error.faults, refusals, error.isMemory);
      refusals.push({ provider: task.session.provider, reason: error.faults.map(({ found }) => found).join("; ") });
    }
  }
}

async function openNext(
  model: ModelFolder,
  providers: readonly Provider[],
  { files, refusals }: { readonly files: InputFiles; readonly refusals: readonly Refusal[] },
): Promise<ModelTask> {
  try {
    return await openTask(model, providers, files);
  } catch (error) {
    if (!(error instanceof ModelRefused)) throw error;
    throw new ModelRefused(error.faults, [...refusals, ...error.refusals], error.isMemory);
  }
}

/** A provider on which nothing of the model runs is the CPU under another name. */
function requirePlace({ session, refusals }: ModelTask): void {
  const { provider, placement } = session;
  if (placement === undefined || (placement[provider] ?? 0) > 0) return;
  const others = Object.entries(placement).map(([name, operations]) => `${operations} on ${name}`);
  const found = `none of its operations there (${others.join(", ")})`;
  throw new ModelRefused([{ where: "model.file", expected: `operations that ${provider} runs`, found }], refusals);
}
