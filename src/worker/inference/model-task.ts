/** What the engine's process does with batches of files, by the task of the model. */
import { join } from "node:path";
import { messageOf, type Fault } from "../../contract/errors.ts";
import { modelFileFor, type Provider } from "../../contract/model-manifest.ts";
import type { ModelFolder } from "../../platform/models/model-folder.ts";
import type { BatchDone } from "./batch-files.ts";
import type { FileToRead, Refusal } from "./engine-protocol.ts";
import { faultOf, oneLine, openSession, type OnnxSession } from "./onnx.ts";
import type { RowLengths } from "./row-lengths.ts";

export interface ModelTask {
  readonly session: OnnxSession;
  /** Why providers before the one in use are not. */
  readonly refusals: readonly Refusal[];
  /** The most rows of a batch, where all are of the longest. */
  readonly mostRows: number;
  /** Undefined for models whose rows are all of one length. */
  readonly lengths: RowLengths | undefined;
  /** Runs so many of the largest rows once, fewer where memory or time does not do; the rows that it ran. @throws {ModelRefused} */
  warmUp(rows: number, mostMs: number): Promise<number>;
  /** One answer for each file, in their order. Throws what the runtime throws: then none has an answer. */
  runBatch(files: readonly FileToRead[]): Promise<BatchDone>;
}

/** The model cannot be used: not by this provider, or not at all. */
export class ModelRefused extends Error {
  readonly faults: readonly Fault[];
  readonly refusals: readonly Refusal[];
  readonly isMemory: boolean;

  constructor(faults: readonly Fault[], refusals: readonly Refusal[], isMemory = false) {
    super("the model cannot be used");
    this.name = "ModelRefused";
    this.faults = faults;
    this.refusals = refusals;
    this.isMemory = isMemory;
  }
}

export interface OpenedModel {
  readonly session: OnnxSession;
  readonly refusals: readonly Refusal[];
}

/** Opens the model with the first provider that takes it, and checks it. @throws {ModelRefused} */
export async function openModel(
  { manifest, folder }: ModelFolder,
  providers: readonly Provider[],
  faultsOf: (session: OnnxSession) => readonly Fault[],
): Promise<OpenedModel> {
  const pathFor = (provider: Provider) => join(folder, modelFileFor(manifest, provider));
  const opened = await openSession(pathFor, providers, manifest.engine.threads);
  if (opened.kind === "refused") {
    const found = oneLine(messageOf(opened.last));
    const fault = { where: "model.file", expected: `a model that ${providers.join(" or ")} can run`, found };
    throw new ModelRefused([fault], opened.refusals, faultOf(opened.last) === "out-of-memory");
  }
  const faults = faultsOf(opened.session);
  if (faults.length === 0) return opened;
  await opened.session.release();
  throw new ModelRefused(faults, opened.refusals);
}

interface WarmLimits {
  readonly refusals: readonly Refusal[];
  readonly isFixed: boolean;
  readonly mostMs: number;
}

/**
 * As many rows as `run` runs in the time, by what one row takes, halved until they fit the memory.
 * @throws {ModelRefused}
 */
export async function fittingRows(
  rows: number,
  { refusals, isFixed, mostMs }: WarmLimits,
  run: (rows: number) => Promise<void>,
): Promise<number> {
  const tried = async (fitting: number): Promise<boolean> => {
    try {
      await run(fitting);
      return true;
    } catch (error) {
      if (error instanceof ModelRefused) throw error;
      const isMemory = faultOf(error) === "out-of-memory";
      if (isMemory && fitting > 1 && !isFixed) return false;
      const expected = `a model that runs over a batch of ${fitting}`;
      throw new ModelRefused([{ where: "model.file", expected, found: oneLine(messageOf(error)) }], refusals, isMemory);
    }
  };
  let fitting = rows;
  if (!isFixed && rows > 1 && mostMs < Infinity) {
    // The first run makes kernels and takes memory, which a second one does not.
    await tried(1);
    const startedMs = performance.now();
    await tried(1);
    fitting = Math.min(rows, Math.floor(mostMs / (performance.now() - startedMs)));
    if (fitting <= 1) return 1;
  }
  while (!(await tried(fitting))) fitting = Math.floor(fitting / 2);
  return fitting;
}

/** Runs what is as strange to the model as any file may be; what it says no to is the fault. @throws {ModelRefused} */
export async function tryStrangest(
  fault: Fault,
  refusals: readonly Refusal[],
  run: () => Promise<unknown>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (faultOf(error) !== "run") throw error;
    throw new ModelRefused([{ ...fault, found: `${fault.found}: ${oneLine(messageOf(error))}` }], refusals);
  }
}
