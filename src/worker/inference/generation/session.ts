/** What generation needs of a loaded model, whatever runs it: named tensors in, named tensors out. */

export type GenerationTensor =
  | { readonly type: "float32"; readonly data: Float32Array; readonly dims: readonly number[] }
  | { readonly type: "int64"; readonly data: BigInt64Array; readonly dims: readonly number[] };

export type Tensors = Readonly<Record<string, GenerationTensor>>;

export interface GenerationSession {
  readonly inputNames: readonly string[];
  run(feeds: Tensors): Promise<Tensors>;
}

/** What the model said is no answer, or breaks the schema although nothing else could be written: no fault of the file. */
export class InvalidAnswerError extends Error {
  override readonly name = "InvalidAnswerError";
}

/** A model that does not answer as its kind must: another export than the manifest says. */
export function floatsOf(tensors: Tensors, name: string): Float32Array {
  const tensor = tensors[name];
  if (tensor?.type === "float32") return tensor.data;
  throw new TypeError(`model output ${name}: expected float32, found ${tensor?.type ?? "nothing"}`);
}

export function int64s(values: readonly number[], dims: readonly number[]): GenerationTensor {
  return { type: "int64", data: BigInt64Array.from(values, BigInt), dims };
}
