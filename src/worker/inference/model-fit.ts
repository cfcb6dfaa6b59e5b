/** Whether a manifest and the model that it names fit: names, types and sizes of tensors. Pure. */
import type { Fault } from "../../contract/errors.ts";
import type { TensorManifest } from "../../contract/model-manifest.ts";
import type { TensorFacts } from "./engine-protocol.ts";
import { lengthOf } from "./encode-json.ts";
import { widthOf } from "./decode.ts";
import { isTensorType, tensorTypes } from "./tensor-array.ts";

interface Wanted {
  readonly where: string;
  readonly name: string;
  /** Sizes of one row; undefined where rows differ in that. */
  readonly row: readonly (number | undefined)[];
  /** What of the manifest says the sizes. */
  readonly sizes?: { readonly where: string; readonly name: string };
}

/** Every fault, with the place in the manifest. */
export function fitFaults(
  manifest: TensorManifest,
  model: { readonly inputs: readonly TensorFacts[]; readonly outputs: readonly TensorFacts[] },
  labels: readonly string[],
): Fault[] {
  const wanted = wantedInputs(manifest);
  const faults = wanted.flatMap((tensor) => inputFaults(tensor, model.inputs));
  const fed = new Set(wanted.map(({ name }) => name));
  for (const { name, type, shape } of model.inputs) {
    if (fed.has(name)) continue;
    const expected = `every input of the model to be named (it has ${namesOf(model.inputs)})`;
    faults.push({ where: "input", expected, found: `nothing for ${name}, ${type} [${shape.join(", ")}]` });
  }
  return [...faults, ...outputFaults(manifest, model.outputs, labels)];
}

/** What the real output of a model shows, where its description left sizes open. */
export function outputFault(
  manifest: TensorManifest,
  outputs: readonly { readonly dims: readonly number[] }[],
  rows: number,
  labels: readonly string[],
): Fault | undefined {
  const names = outputsOf(manifest);
  for (const [at, { dims }] of outputs.entries()) {
    const { where = "output", name = "" } = names[at] ?? {};
    if (dims[0] === rows) continue;
    const expected = `the output ${name} to have one row for each file (${rows})`;
    return { where, expected, found: `[${dims.join(", ")}]` };
  }
  const [{ name: tensor } = { name: "" }] = names;
  const dims = outputs[0]?.dims ?? [];
  const values = wantedValues(manifest, labels);
  if (values === undefined || values.count === widthOf({ dims })) return undefined;
  return {
    where: values.where,
    expected: `${widthOf({ dims })} of them, as the output ${tensor} has values for each file`,
    found: `${values.count}`,
  };
}

function wantedValues(
  manifest: TensorManifest,
  labels: readonly string[],
): { count: number; where: string } | undefined {
  if ("labels" in manifest) return { count: labels.length, where: "labels" };
  if (manifest.task === "regress" && manifest.output.names !== undefined) {
    return { count: manifest.output.names.length, where: "output.names" };
  }
  return undefined;
}

/** The outputs that a task reads, and where the manifest names them. */
export function outputsOf({ output }: TensorManifest): { readonly name: string; readonly where: string }[] {
  if ("tensor" in output) return [{ name: output.tensor, where: "output.tensor" }];
  return output.tensors.map((name, at) => ({ name, where: `output.tensors[${at}]` }));
}

function wantedInputs({ input }: TensorManifest): Wanted[] {
  switch (input.kind) {
    case "bytes":
      return [
        {
          where: "input.tensor",
          name: input.tensor,
          row: [input.windows.reduce((sum, { length }) => sum + length, 0)],
        },
      ];
    case "image": {
      const { width, height, colors, layout } = input;
      const channels = colors === "grey" ? 1 : 3;
      const row = layout === "nchw" ? [channels, height, width] : [height, width, channels];
      const sizes = { where: "input", name: "the size, colors and layout" };
      return [{ where: "input.tensor", name: input.tensor, row, sizes }];
    }
    case "plugin":
      return input.tensors.map(({ tensor, shape }, at) => {
        const sizes = { where: `input.tensors[${at}].shape`, name: "the shape" };
        return { where: `input.tensors[${at}].tensor`, name: tensor, row: shape, sizes };
      });
    case "json":
      return input.tensors.map(({ tensor, fields }, at) => ({
        where: `input.tensors[${at}]`,
        name: tensor,
        row: [lengthOf(fields)],
      }));
    case "text":
      return Object.entries(input.tensors).flatMap(([key, name]) =>
        name === undefined ? [] : [{ where: `input.tensors.${key}`, name, row: [undefined] }],
      );
  }
}

function inputFaults({ where, name, row, sizes }: Wanted, inputs: readonly TensorFacts[]): Fault[] {
  const tensor = inputs.find((input) => input.name === name);
  if (tensor === undefined)
    return [{ where, expected: `one of the inputs of the model (${namesOf(inputs)})`, found: JSON.stringify(name) }];
  const { type, shape } = tensor;
  if (!isTensorType(type))
    return [{ where, expected: `an input of ${tensorTypes.join(", ")}`, found: `${name} of ${type}` }];
  if (sizes !== undefined) return sizeFaults(name, row, { shape, sizes });
  if (shape.length !== 2) {
    return [{ where, expected: "an input of two dimensions (files, values)", found: `${name} [${shape.join(", ")}]` }];
  }
  const [width] = row;
  const values = shape[1];
  if (width !== undefined && typeof values === "number" && values > 0 && values !== width) {
    return [{ where, expected: `${values} values for each file, as the input ${name} has`, found: `${width}` }];
  }
  return [];
}

/** All sizes together have to be those of the model. */
function sizeFaults(
  name: string,
  row: Wanted["row"],
  { shape, sizes }: Pick<TensorFacts, "shape"> & Required<Pick<Wanted, "sizes">>,
): Fault[] {
  const fits = (size: number | string | undefined, at: number) =>
    typeof size !== "number" || size <= 0 || size === row[at];
  if (shape.length === row.length + 1 && shape.slice(1).every(fits)) return [];
  const expected = `${sizes.name} of the input ${name}: [${shape.join(", ")}]`;
  return [{ where: sizes.where, expected, found: `[${["files", ...row].join(", ")}]` }];
}

function outputFaults(manifest: TensorManifest, outputs: readonly TensorFacts[], labels: readonly string[]): Fault[] {
  return outputsOf(manifest).flatMap((wanted) => oneOutputFaults(manifest, { wanted, outputs }, labels));
}

interface WantedOutput {
  readonly wanted: { readonly name: string; readonly where: string };
  readonly outputs: readonly TensorFacts[];
}

function oneOutputFaults(
  manifest: TensorManifest,
  { wanted: { name: tensor, where }, outputs }: WantedOutput,
  labels: readonly string[],
): Fault[] {
  const found = outputs.find(({ name }) => name === tensor);
  if (found === undefined) {
    const expected = `one of the outputs of the model (${namesOf(outputs)})`;
    return [{ where, expected, found: JSON.stringify(tensor) }];
  }
  if (found.type === "string") {
    return [{ where, expected: "an output of numbers", found: `${tensor} of ${found.type}` }];
  }
  const width = found.shape.slice(1);
  const values = wantedValues(manifest, labels);
  const known = width.every((size) => typeof size === "number" && size > 0)
    ? widthOf({ dims: [1, ...(width as number[])] })
    : undefined;
  if (values === undefined || known === undefined || known === values.count) return [];
  return [
    {
      where: values.where,
      expected: `${known} of them, as the output ${tensor} has values for each file`,
      found: `${values.count}`,
    },
  ];
}

function namesOf(tensors: readonly TensorFacts[]): string {
  return tensors.map(({ name }) => name).join(", ");
}

/** How many rows the model takes at a time, where that is fixed. */
export function fixedRows(inputs: readonly TensorFacts[]): number | undefined {
  const first = inputs[0]?.shape[0];
  return typeof first === "number" && first > 0 ? first : undefined;
}
