/** What a plugin makes of files, as rows of tensors: checked, and copied, so that it keeps no hold on a batch. */
import { messageOf } from "../../contract/errors.ts";
import type { PluginInput } from "../../contract/model-plugins.ts";
import type { InputReader } from "../plugin.ts";
import { badInput, type Failure } from "../result/outcome.ts";
import type { Encoder, Feed } from "./encoder.ts";
import type { FileContent } from "./input-file.ts";
import { isAllocationFailure, oneLine } from "./onnx.ts";
import { arrayFor, arrayKindOf, type NumberArray, type TensorValues } from "./tensor-array.ts";

interface Target {
  readonly tensor: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly length: number;
  values: NumberArray;
}

export class PluginEncoder implements Encoder {
  readonly rowBytes: number;
  readonly #reader: InputReader;
  readonly #maxBytes: number;
  readonly #targets: readonly Target[];

  constructor({ tensors, max_bytes: maxBytes }: PluginInput, reader: InputReader, typeOf: (tensor: string) => string) {
    this.#reader = reader;
    this.#maxBytes = maxBytes;
    this.#targets = tensors.map(({ tensor, shape }) => {
      const type = typeOf(tensor);
      const length = shape.reduce((product, size) => product * size, 1);
      return { tensor, type, shape, length, values: arrayFor(type, 0) };
    });
    this.rowBytes = this.#targets.reduce((sum, { length, values }) => sum + length * values.bytesPerValue, 0);
  }

  begin(rows: number): void {
    for (const target of this.#targets) {
      if (target.values.length < rows * target.length) target.values = arrayFor(target.type, rows * target.length);
    }
  }

  add(row: number, content: FileContent): 1 | Failure {
    const { bytes } = content;
    if (bytes > this.#maxBytes) return badInput(`expected a file of at most ${this.#maxBytes} bytes, found ${bytes}`);
    // The plugin may keep what it is given, which the next file takes the place of.
    const copy = Uint8Array.from(content.slice(0, bytes));
    try {
      return this.#copyRow(row, this.#reader.read(copy));
    } catch (error) {
      if (isAllocationFailure(error)) throw error;
      return badInput(oneLine(messageOf(error)));
    }
  }

  #copyRow(row: number, said: unknown): 1 | Failure {
    for (const target of this.#targets) {
      const found = valuesOf(said, target);
      if (typeof found === "string") {
        const { tensor, type, shape } = target;
        const expected = `${tensor} of the plugin to be ${arrayKindOf(type).name} [${shape.join(", ")}]`;
        return badInput(`expected ${expected}, found ${found}`);
      }
      target.values.copy(found, row * target.length);
    }
    return 1;
  }

  feeds(rows: number): Record<string, Feed> {
    return Object.fromEntries(
      this.#targets.map(({ tensor, type, length, shape, values }) => [
        tensor,
        { type, data: values.first(rows * length), dims: [rows, ...shape] },
      ]),
    );
  }
}

/** The values that a plugin gives for a tensor, or in words what it gives instead. */
function valuesOf(said: unknown, { tensor, type, shape, length }: Target): TensorValues | string {
  if (said instanceof Promise) {
    // It fails with the file; what becomes of the promise says no more.
    said.catch(() => undefined);
    return "a promise: read() has to answer at once";
  }
  const made = isMapping(said) && Object.hasOwn(said, tensor) ? said[tensor] : undefined;
  if (!isMapping(made)) return made === undefined ? "none" : `a ${typeof made}`;
  const { data, shape: found } = made;
  if (!Array.isArray(found)) return "one without a shape";
  const kind = ArrayBuffer.isView(data) || Array.isArray(data) ? data.constructor.name : `a ${typeof data}`;
  if (!(data instanceof arrayKindOf(type)) || !isSame(found, shape)) return `${kind} [${found.join(", ")}]`;
  return data.length === length ? data : `${kind} of ${data.length} values`;
}

function isSame(found: readonly unknown[], shape: readonly number[]): boolean {
  return found.length === shape.length && shape.every((size, at) => found[at] === size);
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
