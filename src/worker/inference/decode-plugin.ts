/** What a plugin says of the outputs of a model for each file. */
import { z } from "zod";
import { messageOf } from "../../contract/errors.ts";
import type { FileInference } from "../../contract/inference.ts";
import { schemaFaults, showPath } from "../../contract/schema-faults.ts";
import type { OutputReader, OutputTensor } from "../plugin.ts";
import type { Failure } from "../result/outcome.ts";
import { widthOf, type Decoder, type RowOutput } from "./decode.ts";
import { isAllocationFailure, oneLine } from "./onnx.ts";

/** Of an answer as JSON: one row of the store. */
const MAX_ANSWER_CHARS = 1_048_576;

const said = z.strictObject({
  label: z.string().max(1_000).nullable().default(null),
  confidence: z.number().min(0).max(1).nullable().default(null),
  answer: z.unknown().optional(),
});

/** `names` are of the outputs, in the order in which rows have them. */
export function createPluginDecoder(reader: OutputReader, names: readonly string[]): Decoder {
  return ([part]) => {
    if (part === undefined) throw new TypeError("expected a row, found none");
    let raw: unknown;
    try {
      raw = reader.answer(tensorsOf(part, names));
    } catch (error) {
      if (isAllocationFailure(error)) throw error;
      return bad(oneLine(messageOf(error)));
    }
    return inferenceOf(raw);
  };
}

/** Copies: a plugin may keep or change what it is given. */
function tensorsOf({ outputs, row }: RowOutput, names: readonly string[]): Record<string, OutputTensor> {
  return Object.fromEntries(
    outputs.map(({ data, dims }, at) => {
      const width = widthOf({ dims });
      const values: ArrayLike<number> = Float64Array.from(
        { length: width },
        (_, place) => data[row * width + place] ?? Number.NaN,
      );
      return [names[at] ?? "", { data: values, shape: dims.slice(1) }];
    }),
  );
}

function inferenceOf(raw: unknown): FileInference | Failure {
  if (raw instanceof Promise) {
    // It fails with the file; what becomes of the promise says no more.
    raw.catch(() => undefined);
    return bad("expected an answer of the plugin, found a promise: answer() has to answer at once");
  }
  try {
    const parsed = said.safeParse(raw);
    if (!parsed.success) {
      const [fault] = schemaFaults(parsed.error.issues, raw, () => Object.keys(said.shape));
      if (fault === undefined) throw new TypeError("expected a fault, found none");
      return bad(`${showPath(fault.path, "what answer() gave")}: expected ${fault.expected}, found ${fault.found}`);
    }
    const { label, confidence } = parsed.data;
    const { data: answer, success: isJson } = z.json().safeParse(parsed.data.answer ?? null);
    if (!isJson) return bad("answer: expected what JSON can say, found a value that it cannot, such as NaN");
    const { length } = JSON.stringify(answer);
    if (length > MAX_ANSWER_CHARS) {
      return bad(`expected an answer of at most ${MAX_ANSWER_CHARS} characters of JSON, found ${length}`);
    }
    return { label, confidence, value: { task: "custom", answer } };
  } catch (error) {
    return bad(`answer: expected what JSON can say, found what it cannot: ${oneLine(messageOf(error))}`);
  }
}

function bad(message: string): Failure {
  return { class: "bad-output", message };
}
