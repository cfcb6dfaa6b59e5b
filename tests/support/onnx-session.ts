/** ONNX Runtime as generation sees it, for tests that run real models in their own process. */
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { GenerationSession, GenerationTensor, Tensors } from "../../src/worker/inference/generation/session.ts";

/** A session that counts its runs. */
export interface CountingSession extends GenerationSession {
  readonly runs: number;
}

/** Opens a model from its bytes or its path, on one thread. */
export async function openOnnx(model: Uint8Array | string): Promise<CountingSession> {
  const options: InferenceSession.SessionOptions = { intraOpNumThreads: 1, logSeverityLevel: 4 };
  const session = await (typeof model === "string"
    ? InferenceSession.create(model, options)
    : InferenceSession.create(model, options));
  let runs = 0;
  return {
    get runs() {
      return runs;
    },
    inputNames: session.inputNames,
    run: async (feeds: Tensors) => {
      runs++;
      const tensors = Object.entries(feeds).map(([name, tensor]) => [name, toOnnx(tensor)] as const);
      const outputs = await session.run(Object.fromEntries(tensors));
      return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, fromOnnx(tensor)]));
    },
  };
}

function toOnnx({ type, data, dims }: GenerationTensor): Tensor {
  return type === "float32" ? new Tensor(type, data, [...dims]) : new Tensor(type, data, [...dims]);
}

function fromOnnx({ data, dims }: Tensor): GenerationTensor {
  if (data instanceof Float32Array) return { type: "float32", data, dims };
  if (data instanceof BigInt64Array) return { type: "int64", data, dims };
  throw new TypeError("expected a model of 32-bit floats and 64-bit integers");
}
