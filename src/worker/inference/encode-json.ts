/** Fields of a JSON file as rows of tensors. */
import type { JsonField } from "../../contract/model-inputs.ts";
import type { JsonInput } from "../../contract/model-manifest.ts";
import { field, showFound } from "../../contract/schema-faults.ts";
import type { Failure } from "../result/outcome.ts";
import type { Encoder, Feed } from "./encoder.ts";
import type { FileContent } from "./input-file.ts";
import { decodeText } from "./decode-text.ts";
import { arrayFor, type NumberArray } from "./tensor-array.ts";

interface Target {
  readonly tensor: string;
  readonly type: string;
  readonly fields: readonly JsonField[];
  readonly length: number;
  values: NumberArray;
}

/** A field that is not what the model takes. */
class FieldFault extends Error {}

export class JsonEncoder implements Encoder {
  readonly rowBytes: number;
  readonly #maxBytes: number;
  readonly #targets: readonly Target[];

  constructor(input: JsonInput, typeOf: (tensor: string) => string) {
    this.#maxBytes = input.max_bytes;
    this.#targets = input.tensors.map(({ tensor, fields }) => {
      const type = typeOf(tensor);
      return { tensor, type, fields, length: lengthOf(fields), values: arrayFor(type, 0) };
    });
    this.rowBytes = this.#targets.reduce((sum, { length, values }) => sum + length * values.bytesPerValue, 0);
  }

  begin(rows: number): void {
    for (const target of this.#targets) {
      if (target.values.length < rows * target.length) target.values = arrayFor(target.type, rows * target.length);
    }
  }

  add(row: number, content: FileContent): 1 | Failure {
    if (content.bytes > this.#maxBytes) {
      return {
        class: "bad-input",
        message: `expected a file of at most ${this.#maxBytes} bytes, found ${content.bytes}`,
      };
    }
    try {
      const record = parse(content);
      for (const target of this.#targets) {
        let at = row * target.length;
        for (const wanted of target.fields) {
          for (const number of numbersOf(record, wanted)) target.values.set(at++, number);
        }
      }
      return 1;
    } catch (error) {
      if (error instanceof FieldFault) return { class: "bad-input", message: error.message };
      throw error;
    }
  }

  feeds(rows: number): Record<string, Feed> {
    return Object.fromEntries(
      this.#targets.map(({ tensor, type, length, values }) => [
        tensor,
        { type, data: values.first(rows * length), dims: [rows, length] },
      ]),
    );
  }
}

/** Numbers that fields give in all. */
export function lengthOf(fields: readonly JsonField[]): number {
  return fields.reduce((sum, { length }) => sum + length, 0);
}

function parse(content: FileContent): unknown {
  const text = decodeText(content.slice(0, content.bytes));
  if (text === undefined) throw new FieldFault("expected a file of JSON in UTF-8, found bytes that are not UTF-8");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FieldFault(`expected a file of JSON, found ${error instanceof Error ? error.message : "something else"}`);
  }
}

function numbersOf(record: unknown, wanted: JsonField): number[] {
  const { path, length, missing } = wanted;
  const found = path.split(".").reduce<unknown>((value, part) => field(value, part), record);
  if (found === undefined || found === null) {
    if (missing !== undefined) return new Array<number>(length).fill(missing);
    throw new FieldFault(`${path}: expected ${length === 1 ? "a number" : `${length} numbers`}, found nothing`);
  }
  if (length === 1) return [numberOf(found, path, wanted)];
  if (!Array.isArray(found) || found.length !== length) {
    const what = Array.isArray(found) ? `${found.length}` : showFound(found, [path]);
    throw new FieldFault(`${path}: expected a list of ${length} numbers, found ${what}`);
  }
  return found.map((value, at) => numberOf(value, `${path}.${at}`, wanted));
}

function numberOf(found: unknown, path: string, { values }: JsonField): number {
  if (typeof found === "number") return found;
  if (typeof found === "boolean") return found ? 1 : 0;
  const meant =
    typeof found === "string" && values !== undefined && Object.hasOwn(values, found) ? values[found] : undefined;
  if (meant !== undefined) return meant;
  const expected =
    values === undefined ? "a number" : `a number or one of ${Object.keys(values).slice(0, 10).join(", ")}`;
  throw new FieldFault(`${path}: expected ${expected}, found ${showFound(found, [path])}`);
}
