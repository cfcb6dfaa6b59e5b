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
  dims: readonly number[],
  rows: number,
  labels: readonly string[],
): Fault | undefined {
  const { tensor } = manifest.output;
  if (dims[0] !== rows) {
    const expected = `the output ${tensor} to have one row for each file (${rows})`;
    return { where: "output.tensor", expected, found: `[${dims.join(", ")}]` };
  }
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
      return [{ where: "input.tensor", name: input.tensor, row }];
    }
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

function inputFaults({ where, name, row }: Wanted, inputs: readonly TensorFacts[]): Fault[] {
  const tensor = inputs.find((input) => input.name === name);
  if (tensor === undefined)
    return [{ where, expected: `one of the inputs of the model (${namesOf(inputs)})`, found: JSON.stringify(name) }];
  const { type, shape } = tensor;
  if (!isTensorType(type))
    return [{ where, expected: `an input of ${tensorTypes.join(", ")}`, found: `${name} of ${type}` }];
  if (row.length > 1) return imageFaults(name, row, shape);
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

/** Width, height, colours and layout together have to be those of the model. */
function imageFaults(name: string, row: Wanted["row"], shape: TensorFacts["shape"]): Fault[] {
  const fits = (size: number | string | undefined, at: number) =>
    typeof size !== "number" || size <= 0 || size === row[at];
  if (shape.length === row.length + 1 && shape.slice(1).every(fits)) return [];
  const expected = `the size, colors and layout of the input ${name}: [${shape.join(", ")}]`;
  return [{ where: "input", expected, found: `[files, ${row.join(", ")}]` }];
}

function outputFaults(manifest: TensorManifest, outputs: readonly TensorFacts[], labels: readonly string[]): Fault[] {
  const { tensor } = manifest.output;
  const found = outputs.find(({ name }) => name === tensor);
  if (found === undefined) {
    const expected = `one of the outputs of the model (${namesOf(outputs)})`;
    return [{ where: "output.tensor", expected, found: JSON.stringify(tensor) }];
  }
  if (found.type === "string") {
    return [
      {
        where: "output.tensor",
        expected: "an output of numbers",
        found: `${tensor} of ${found.type}`,
      },
    ];
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
