/** Runs the files of chunks through models: the place of the executor of processes, in jobs named `infer`. */
import { basename } from "node:path";
import { FaultsError, faultsLine, messageOf } from "../../contract/errors.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import type { FileEntry } from "../../contract/files.ts";
import type { Clock } from "../../platform/clock.ts";
import type { AllowedRun, PolicyGate } from "../../platform/policy-gate.ts";
import type { ChunkEnd, ChunkEvents, ChunkRequest } from "../executor/chunk-request.ts";
import type { Failure } from "../result/outcome.ts";
import type { EngineLease, EnginePool } from "./engine-pool.ts";
import type { Loaded } from "./engine-protocol.ts";
import { InferChunk } from "./infer-chunk.ts";

export interface InferRunnerDeps {
  readonly pool: EnginePool;
  readonly gate: PolicyGate;
  readonly clock: Clock;
  /** Told once of each run: what it really runs on here. Tells the digest of the model that the run began with. */
  onModel(run: Pick<ChunkRequest, "runId" | "epoch">, loaded: Loaded): Promise<string>;
}

/** How often the governor is told what the engine uses. */
const USAGE_MS = 500;
const MAX_RUNS = 256;

export class InferRunner {
  readonly #deps: InferRunnerDeps;
  /** In the order in which they came: the first one of an engine carries what the engine uses. */
  readonly #chunks = new Map<string, InferChunk>();
  /** The digests of models that runs began with. */
  readonly #began = new Map<string, string>();
  readonly #faces = new Map<string, { readonly model: string; readonly provider: string }>();

  constructor(deps: InferRunnerDeps) {
    this.#deps = deps;
  }

  /** Runs the files of a chunk to their ends. After an abort nothing more of it is begun. */
  async run(request: ChunkRequest, events: ChunkEvents, signal: AbortSignal): Promise<ChunkEnd> {
    const decision = this.#deps.gate.decide(request.spec);
    if (decision.kind === "refused") {
      return refuse(request, events, { class: "policy", message: faultsLine(decision.faults) });
    }
    if (signal.aborted) return aborted(request.files);
    const lease = this.#deps.pool.lease(decision.spec.command[0] ?? "", request.gpu);
    try {
      const loaded = await unlessAborted(lease.engine.ready(), signal);
      if (loaded === undefined) return aborted(request.files);
      const failure =
        pinFailure(loaded.model, request.spec, decision) ??
        taskFailure(loaded.model, request.spec) ??
        changeFailure(loaded.model, await this.#tell(request, loaded));
      if (failure !== null) return refuse(request, events, failure);
      this.#faces.set(request.spec.command[0] ?? "", { model: loaded.model.manifest.name, provider: loaded.provider });
      return await this.#runChunk(request, { lease, loaded, events, signal, inputRoot: decision.inputRoot });
    } catch (error) {
      return endOf(request, events, error);
    } finally {
      lease.release();
    }
  }

  /** The model of a run and what it runs on here, as labels of metrics; empty for runs of processes. */
  facesOf({ executor, command }: RunSpec): { readonly model: string; readonly provider: string } {
    if (executor !== "infer") return { model: "", provider: "" };
    return this.#faces.get(command[0] ?? "") ?? { model: basename(command[0] ?? ""), provider: "none" };
  }

  /** Gives the memory of the chunk's engine back at once; what the chunk has not done fails for lack of memory. */
  evict(chunkId: string, reason: string): void {
    this.#chunks.get(chunkId)?.evict(reason);
  }

  async #runChunk(
    request: ChunkRequest,
    parts: {
      readonly lease: EngineLease;
      readonly loaded: Loaded;
      readonly events: ChunkEvents;
      readonly signal: AbortSignal;
      readonly inputRoot: string | undefined;
    },
  ): Promise<ChunkEnd> {
    const { lease, loaded, events, signal, inputRoot } = parts;
    const { engine } = lease;
    const chunk = new InferChunk(request, events, { engine, loaded, inputRoot });
    this.#chunks.set(request.chunkId, chunk);
    const startedMs = this.#deps.clock.monotonicMs();
    const tell = () => {
      const carrier = [...this.#chunks.values()].find((other) => other.engine === engine);
      if (carrier === chunk) chunk.tellUsage(this.#deps.clock.monotonicMs() - startedMs);
    };
    // At once, too: what the model takes is known now, and other chunks of it wait to reserve as much.
    tell();
    const measuring = setInterval(tell, USAGE_MS);
    try {
      return await chunk.run(signal);
    } finally {
      clearInterval(measuring);
      this.#chunks.delete(request.chunkId);
    }
  }

  async #tell(run: ChunkRequest, loaded: Loaded): Promise<string> {
    const key = `${run.runId}.${run.epoch}.${loaded.provider}`;
    const began = this.#began.get(key) ?? (await this.#deps.onModel(run, loaded));
    if (this.#began.size >= MAX_RUNS) this.#began.clear();
    this.#began.set(key, began);
    return began;
  }
}

/** Why a model is not the one that the run, or the operator, wants; null when it is. */
export function pinFailure(
  { folder, sha256 }: Pick<Loaded["model"], "folder" | "sha256">,
  spec: RunSpec,
  { pins }: AllowedRun,
): Failure | null {
  const own = spec.binarySha256 === undefined ? [] : [[spec.binarySha256]];
  const unmet = [...own, ...pins.map((pin) => pin.sha256)].find((allowed) => !allowed.includes(sha256));
  if (unmet === undefined) return null;
  const message = `expected the model ${folder} with SHA-256 ${unmet.join(" or ")}, found ${sha256}`;
  return { class: "policy", message };
}

/** Why a model cannot answer by the schema that the run has; null when it can, or none is asked for. */
function taskFailure({ folder, manifest }: Loaded["model"], { answer }: RunSpec): Failure | null {
  if (answer === undefined || manifest.task === "generate") return null;
  const message = `answer.schema: expected a model of the task generate, found ${folder} of the task ${manifest.task}`;
  return { class: "policy", message };
}

/** Why a model is not the one that the run began with, where nobody named a digest; null when it is. */
function changeFailure({ folder, sha256 }: Loaded["model"], began: string): Failure | null {
  if (sha256 === began) return null;
  const message = `expected the model ${folder} as it was when the run began, with SHA-256 ${began}, found ${sha256}`;
  return { class: "policy", message };
}

function aborted(files: readonly FileEntry[]): ChunkEnd {
  return { kind: "aborted", notRun: files, interrupted: [], postponed: [], fenced: [] };
}

/** None of the files is run, each with the same reason. */
function refuse(request: ChunkRequest, events: ChunkEvents, failure: Failure): ChunkEnd {
  new InferChunk(request, events, undefined).failAll(failure);
  return { kind: "done", notRun: [], interrupted: [], postponed: [], fenced: [] };
}

/** A model that cannot be used fails the files; a machine that cannot run it now gives them back. */
function endOf(request: ChunkRequest, events: ChunkEvents, error: unknown): ChunkEnd {
  if (error instanceof FaultsError) {
    return refuse(request, events, { class: "policy", message: faultsLine(error.faults) });
  }
  const cause = error instanceof Error ? error : new Error(messageOf(error), { cause: error });
  return { ...aborted(request.files), error: cause };
}

/** The value, or undefined once the signal is aborted, whatever becomes of the value. */
async function unlessAborted<T>(value: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  let onAbort: (() => void) | undefined;
  const stopped = new Promise<undefined>((resolve) => {
    onAbort = () => {
      resolve(undefined);
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([value, stopped]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
  }
}
