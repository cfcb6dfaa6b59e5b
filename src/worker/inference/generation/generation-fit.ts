/** Whether a model is one that generation can run: the names and types of its tensors. Pure. */
import type { Fault } from "../../../contract/errors.ts";
import type { TensorFacts } from "../engine-protocol.ts";
import { cacheNames, type DecoderShape } from "./decode.ts";

interface Model {
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
}

type Wanted = readonly (readonly [name: string, type: string])[];

const loopInputs: Wanted = [
  ...["input_ids", "attention_mask", "position_ids", "max_steps"].map((name) => [name, "int64"] as const),
  ...["child_token", "child_state", "end_state"].map((name) => [name, "int64"] as const),
  ["child_bias", "float32"],
];
const loopOutputs: Wanted = [
  ["sequences", "int64"],
  ["log_probability", "float32"],
];

/** Every fault: what is missing, what is of another type or size, what nothing would feed. */
export function generationFaults(model: Model, shape: Omit<DecoderShape, "padToken">): Fault[] {
  const { layers } = shape;
  const isLoop = model.inputs.some(({ name }) => name === "child_token");
  const cache = cacheNames(layers);
  const hasPositions = model.inputs.some(({ name }) => name === "position_ids");
  const inputs: Wanted = isLoop
    ? loopInputs
    : [
        ["input_ids", "int64"],
        ["attention_mask", "int64"],
        ...(hasPositions ? [["position_ids", "int64"] as const] : []),
        ...cache.map(([past]) => [past, "float32"] as const),
      ];
  const outputs: Wanted = isLoop
    ? loopOutputs
    : [["logits", "float32"], ...cache.map(([, present]) => [present, "float32"] as const)];
  const known = new Set(inputs.map(([name]) => name));
  const others = model.inputs.filter(({ name }) => !known.has(name));
  return [
    ...inputs.flatMap((wanted) => faultOf("an input", wanted, model.inputs)),
    ...outputs.flatMap((wanted) => faultOf("an output", wanted, model.outputs)),
    ...sizeFaults(model, shape),
    ...others.map(({ name, type }) => {
      const expected = `no inputs beside those of a decoder of ${layers} layers (config.json)`;
      return { where: "model.file", expected, found: `${name} of ${type}` };
    }),
  ];
}

function faultOf(what: string, [name, type]: Wanted[number], tensors: readonly TensorFacts[]): Fault[] {
  const found = tensors.find((tensor) => tensor.name === name);
  if (found?.type === type) return [];
  const names = tensors.map((tensor) => tensor.name).join(", ");
  const said = found === undefined ? `none (it has ${names})` : `one of ${found.type}`;
  return [{ where: "model.file", expected: `${what} ${name} of ${type}`, found: said }];
}

/** Sizes that the model and its config.json both tell: with another number of words each row would be read from a wrong place. */
function sizeFaults({ inputs, outputs }: Model, shape: Omit<DecoderShape, "padToken">): Fault[] {
  const { layers, keyValueHeads, headSize, vocabularySize } = shape;
  const all = [...inputs, ...outputs];
  const wanted = [
    ["vocab_size", "logits", 2, vocabularySize],
    ...cacheNames(layers)
      .flat()
      .flatMap((name) => [
        ["num_key_value_heads", name, 1, keyValueHeads] as const,
        ["head_dim", name, 3, headSize] as const,
      ]),
  ] as const;
  return wanted.flatMap(([key, name, at, size]) => {
    const found = all.find((tensor) => tensor.name === name)?.shape[at];
    if (typeof found !== "number" || found <= 0 || found === size) return [];
    return [{ where: "config.file", expected: `a ${key} of ${found}, as ${name} of the model has`, found: `${size}` }];
  });
}
