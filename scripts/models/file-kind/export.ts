/** The trained classifier as an ONNX file that takes raw bytes: hashing, mean, dense layer and softmax are in the graph. */
import { Graph } from "../onnx/graph.ts";
import { WINDOW_BYTES } from "./kinds.ts";
import { BUCKETS, MIX } from "./trigrams.ts";
import { EMBEDDING_SIZE, type Classifier } from "./train.ts";

const END = 2 ** 31 - 1;

/** `bytes` [batch, 1024] uint8 -> `probabilities` [batch, labels]; bytes of 0 behind the end of a file do not count. */
export function exportClassifier({ labels, embedding, dense, bias }: Classifier): Uint8Array {
  const graph = new Graph("classifier");
  const input = graph.input("bytes", "uint8", ["batch", WINDOW_BYTES]);
  const whole = graph.op("Cast", [input], { attributes: { to: 6 } });
  const shifted = (from: number, to: number) =>
    graph.op("Slice", [whole, graph.int64([from]), graph.int64([to]), graph.int64([1])]);
  const bytes = [shifted(0, -2), shifted(1, -1), shifted(2, END)] as const;
  const mixed = bytes.map((part, at) => graph.op("Mul", [part, graph.int32(MIX[at] ?? 0)]));
  const hash = mixed.reduce((sum, part) => graph.op("Add", [sum, part]));
  const buckets = graph.op("Mod", [hash, graph.int32(BUCKETS)]);
  const isReal = graph.op("Not", [graph.op("Equal", [bytes[2], graph.int32(0)])]);
  const mask = graph.op("Cast", [isReal], { attributes: { to: 1 } });
  const table = graph.weight("embedding", [BUCKETS, EMBEDDING_SIZE], () => embedding);
  const embedded = graph.op("Gather", [table, buckets], { attributes: { axis: 0 } });
  // A masked sum as a product of matrices: no tensor of all embeddings is written twice.
  const row = graph.op("Unsqueeze", [mask, graph.int64([1])]);
  const sum = graph.op("Squeeze", [graph.op("MatMul", [row, embedded]), graph.int64([1])]);
  const count = graph.op("ReduceSum", [mask, graph.int64([1])], { attributes: { keepdims: 1 } });
  const mean = graph.op("Div", [sum, graph.op("Max", [count, graph.float32(1)])]);
  const weights = graph.weight("dense", [EMBEDDING_SIZE, labels], () => dense);
  const logits = graph.op("Gemm", [mean, weights, graph.weight("bias", [labels], () => bias)]);
  graph.op("Softmax", [logits], { attributes: { axis: 1 }, outputs: ["probabilities"] });
  graph.output("probabilities", "float32", ["batch", labels]);
  return graph.model("headroom");
}
