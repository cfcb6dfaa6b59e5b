/** The one door to ONNX Runtime: sessions, and what its errors mean. */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { messageOf } from "../../contract/errors.ts";
import type { Provider } from "../../contract/model-manifest.ts";
import { hasNvidiaDriver } from "../../platform/nvidia.ts";
import type { Feed } from "./encoder.ts";
import type { BatchFault, Refusal, TensorFacts } from "./engine-protocol.ts";
import { InvalidAnswerError, type GenerationTensor, type Tensors } from "./generation/session.ts";
import { fromHalf } from "./half-float.ts";
import { ProfileFile, type Placement } from "./placement.ts";
import type { TensorValues } from "./tensor-array.ts";

/** An output of a model, its numbers in one row after the other. */
export interface OnnxOutput {
  readonly data: ArrayLike<number>;
  readonly dims: readonly number[];
}

export interface OnnxSession {
  readonly provider: Provider;
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
  /** What ran where in the first run; undefined before it, and on the CPU, where there is no choice. */
  readonly placement: Placement | undefined;
  /** The outputs of these names, in their order. Blocks this process until it is done. */
  run(feeds: Readonly<Record<string, Feed>>, outputs: readonly string[]): Promise<OnnxOutput[]>;
  /** All outputs, as they are: for models whose outputs go in again. */
  runAll(feeds: Tensors): Promise<Tensors>;
  /** The only way in which memory that the runtime has taken comes back. */
  release(): Promise<void>;
}

export type Opened =
  | { readonly kind: "open"; readonly session: OnnxSession; readonly refusals: readonly Refusal[] }
  | { readonly kind: "refused"; readonly refusals: readonly Refusal[]; readonly last: unknown };

/** Warnings of the runtime go nowhere that a person looks; its errors are thrown. */
const SILENT = 4;

/** Tries providers from the first to the last: the runtime itself falls back to none, and its own list of them is no help. */
export async function openSession(
  pathFor: (provider: Provider) => string,
  wanted: readonly Provider[],
  threads: number,
): Promise<Opened> {
  const refusals: Refusal[] = [];
  let last: unknown;
  for (const provider of wanted) {
    const profile = provider === "cpu" ? undefined : new ProfileFile();
    try {
      const session = await InferenceSession.create(pathFor(provider), {
        executionProviders: [provider],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        logSeverityLevel: SILENT,
        ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile.prefix }),
        // Threads that wait in a loop take the cores of the jobs beside.
        extra: { session: { intra_op: { allow_spinning: "0" } } },
      });
      return { kind: "open", session: new ProvenSession(session, provider, profile), refusals };
    } catch (error) {
      last = error;
      profile?.take();
      const why = oneLine(messageOf(error));
      refusals.push({
        provider,
        reason: provider === "cuda" && !hasNvidiaDriver() ? `no NVIDIA driver here (${why})` : why,
      });
    }
  }
  return { kind: "refused", refusals, last };
}

class ProvenSession implements OnnxSession {
  readonly provider: Provider;
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
  placement: Placement | undefined;
  readonly #session: InferenceSession;
  #profile: ProfileFile | undefined;

  constructor(session: InferenceSession, provider: Provider, profile: ProfileFile | undefined) {
    this.#session = session;
    this.#profile = profile;
    this.provider = provider;
    this.inputs = factsOf(session.inputMetadata);
    this.outputs = factsOf(session.outputMetadata);
  }

  async run(feeds: Readonly<Record<string, Feed>>, outputs: readonly string[]): Promise<OnnxOutput[]> {
    const results = await this.#run(feeds, outputs);
    return outputs.map((output) => {
      const result = results[output];
      if (result === undefined) throw new TypeError(`expected the output ${output}, found none`);
      return { data: numbersOf(result, output), dims: result.dims };
    });
  }

  async runAll(feeds: Tensors): Promise<Tensors> {
    const results = await this.#run(
      feeds,
      this.outputs.map(({ name }) => name),
    );
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, generationTensor(name, tensor)]));
  }

  async release(): Promise<void> {
    this.#endProfile();
    await this.#session.release();
  }

  async #run(feeds: Readonly<Record<string, Feed>> | Tensors, outputs: readonly string[]) {
    const tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, { type, data, dims }]) => [name, tensorOf(type, data, dims)]),
    );
    const results = await this.#session.run(tensors, outputs);
    // A run that failed tells of the operations before that, or of none.
    this.#endProfile();
    return results;
  }

  /** One run tells it; every further one would cost time and disk for nothing. */
  #endProfile(): void {
    const profile = this.#profile;
    if (profile === undefined) return;
    this.#profile = undefined;
    this.#session.endProfiling();
    this.placement = profile.take();
  }
}

function factsOf(metadata: readonly InferenceSession.ValueMetadata[]): TensorFacts[] {
  return metadata.map((value) =>
    value.isTensor
      ? { name: value.name, type: value.type, shape: [...value.shape] }
      : { name: value.name, type: "no tensor", shape: [] },
  );
}

/**
 * Where Node has arrays of 16-bit floats (24 and later), the runtime's JavaScript makes one of the bits that it is given, and
 * its native part, which does not know them, finds it empty: it is shown the bits.
 */
function tensorOf(type: string, data: TensorValues, dims: readonly number[]): Tensor {
  const tensor = new Tensor(type as "float32", data, [...dims]);
  return type === "float16" ? Object.defineProperty(tensor, "data", { value: data }) : tensor;
}

function numbersOf({ data, type }: Tensor, output: string): ArrayLike<number> {
  // A Node that has arrays of such floats gets one, any other the whole numbers with their bits.
  if (type === "float16" && data instanceof Uint16Array) return Float32Array.from(data, fromHalf);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Array.from(data, Number);
  if (Array.isArray(data)) throw new TypeError(`expected numbers in the output ${output}, found texts`);
  return data;
}

function generationTensor(name: string, { data, dims, type }: Tensor): GenerationTensor {
  if (data instanceof Float32Array) return { type: "float32", data, dims };
  if (data instanceof BigInt64Array) return { type: "int64", data, dims };
  throw new TypeError(`model output ${name}: expected float32 or int64, found ${type}`);
}

/** WebGPU says no more of a buffer that it could not have than that it is invalid; the reason went to the log. */
const memoryTexts =
  /Failed to allocate memory for requested buffer|bad_alloc|out[ _]of[ _](?:device[ _])?memory|CUDA failure 2\b|ALLOC_FAILED|Array buffer allocation failed|maxStorageBuffersPerShader|\[Invalid Buffer[^\]]*\] is invalid due to a previous error/i;
/** After these every further call in the same process fails too. */
const stickyTexts = /CUDA failure (?:700|719)\b|illegal memory access|device lost|unspecified launch failure/i;

/** What an error of a run means for the batch and for the session. */
export function faultOf(error: unknown): BatchFault {
  if (error instanceof InvalidAnswerError) return "output";
  const text = messageOf(error);
  if (memoryTexts.test(text)) return "out-of-memory";
  return stickyTexts.test(text) ? "sticky" : "run";
}

/** Whether JavaScript itself had no memory for an array: what code that others wrote says of memory may be of anything. */
export function isAllocationFailure(error: unknown): boolean {
  return error instanceof RangeError && faultOf(error) === "out-of-memory";
}

const SHOWN_CHARS = 400;

/** What the runtime says, on one line, without the paths of its own sources. */
export function oneLine(text: string): string {
  const bare = text
    .replace(/\s+/g, " ")
    .replace(/\/\S*\/onnxruntime\/(?:core\/)?\S*?:\d+ /g, "")
    .trim();
  return bare.length > SHOWN_CHARS ? `${bare.slice(0, SHOWN_CHARS)}…` : bare;
}
