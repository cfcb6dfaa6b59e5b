/** Looks at a model before a run of it: loads it once, as a worker will, so that what is wrong is told at once. */
import type { Allow } from "../../contract/allow.ts";
import { InvalidInputError } from "../../contract/errors.ts";
import { systemClock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { MODEL_CHUNK_CORES, MODEL_CHUNK_FILES, type RunSpecInput } from "../../contract/run-request.ts";
import { runSpec } from "../../contract/run-spec.ts";
import type { EngineMetrics, EngineSettings } from "../../worker/inference/engine-port.ts";
import type { Loaded } from "../../worker/inference/engine-protocol.ts";
import { ModelEngine } from "../../worker/inference/model-engine.ts";
import { hasNvidiaDriver } from "../../platform/nvidia.ts";
import { plural } from "../format.ts";
import { say, type Io } from "../io.ts";
import type { RunFlags } from "../run-flags.ts";
import type { RunPlan } from "./run-plan.ts";

/** What a run of a model asks for beyond what it was seen to take. */
const SPARE = 1.15;
const defaultChunk = runSpec.shape.chunk.parse(undefined);

const uncounted: EngineMetrics = {
  batch: () => undefined,
  waited: () => undefined,
  outOfMemory: () => undefined,
  restarted: () => undefined,
  ceiling: () => undefined,
  placed: () => undefined,
};

/** An engine of the command line's own. The caller closes it. */
export function createEngine(folder: string, logger: Logger, settings: EngineSettings = {}): ModelEngine {
  return new ModelEngine({ clock: systemClock, logger, metrics: uncounted }, folder, settings);
}

/** Loads the model and lets it go. @throws {InvalidInputError} with what is wrong with it, {InfrastructureError} */
export async function probeModel(
  folder: string,
  logger: Logger,
  modelPlugins: Allow["model_plugins"],
): Promise<Loaded> {
  const engine = createEngine(folder, logger, { modelPlugins });
  try {
    return await engine.ready();
  } finally {
    await engine.close();
  }
}

/** The plan of a run of a model, with what loading it has shown: its digest, its memory, its threads. */
export async function planWithModel(
  plan: RunPlan,
  { flags, io, logger }: { flags: RunFlags; io: Io; logger: Logger },
): Promise<RunPlan> {
  const folder = plan.spec.command[0] ?? "";
  const loaded = await probeModel(folder, logger, plan.config.allow.model_plugins);
  // Where no card is, that none is used is no news; the report says it all the same.
  const told = loaded.refusals.filter(({ provider }) => provider !== "cuda" || hasNvidiaDriver());
  for (const { provider, reason } of told) say(io, `${provider} is not used: ${reason}`);
  const { manifest, sha256 } = loaded.model;
  if (flags.schema !== undefined && manifest.task !== "generate") {
    const found = `${folder} of the task ${manifest.task}`;
    throw new InvalidInputError("infer", [{ where: "--schema", expected: "a model of the task generate", found }]);
  }
  if (loaded.warmRows < loaded.mostRows) {
    say(
      io,
      `batches begin with ${plural(loaded.warmRows, "file")}, as memory and time do, of ${loaded.mostRows} that the model allows`,
    );
  }
  const { resources: asked = {}, chunk } = plan.spec;
  const isCoresAsked = flags.cpus !== undefined || plan.config.profile !== "default";
  const resources: RunSpecInput["resources"] = {
    memoryBytes: Math.ceil(loaded.rssBytes * SPARE),
    ...asked,
    ...(!isCoresAsked && { cpuCores: manifest.engine.threads * MODEL_CHUNK_CORES }),
  };
  const isChunkAsked = flags.chunkFiles !== undefined || chunk?.maxFiles !== defaultChunk.maxFiles;
  return {
    ...plan,
    spec: {
      ...plan.spec,
      ...(!isChunkAsked && { chunk: { ...chunk, maxFiles: MODEL_CHUNK_FILES } }),
      binarySha256: sha256,
      resources,
    },
  };
}
