/** Windows of a file's bytes as one row of a tensor. */
import type { ByteWindow } from "../../contract/model-inputs.ts";
import type { BytesInput } from "../../contract/model-manifest.ts";
import type { Failure } from "../result/outcome.ts";
import type { Encoder, Feed } from "./encoder.ts";
import type { FileContent } from "./input-file.ts";
import { arrayFor, type NumberArray } from "./tensor-array.ts";

export class BytesEncoder implements Encoder {
  readonly rowBytes: number;
  readonly #input: BytesInput;
  readonly #length: number;
  readonly #type: string;
  #values: NumberArray;

  constructor(input: BytesInput, type: string) {
    this.#input = input;
    this.#type = type;
    this.#length = input.windows.reduce((sum, { length }) => sum + length, 0);
    this.#values = arrayFor(type, 0);
    this.rowBytes = this.#length * this.#values.bytesPerValue;
  }

  begin(rows: number): void {
    if (this.#values.length < rows * this.#length) this.#values = arrayFor(this.#type, rows * this.#length);
  }

  add(row: number, content: FileContent): 1 | Failure {
    const { windows, empty, too_long: tooLong } = this.#input;
    if (content.bytes === 0 && empty === "fail") {
      return { class: "bad-input", message: "expected a file that is not empty, found 0 bytes" };
    }
    if (content.bytes > this.#length && tooLong === "fail") {
      const message = `expected a file of at most ${this.#length} bytes, found ${content.bytes}`;
      return { class: "bad-input", message };
    }
    let at = row * this.#length;
    for (const window of windows) {
      this.#lay(at, window, content);
      at += window.length;
    }
    return 1;
  }

  #lay(at: number, window: ByteWindow, content: FileContent): void {
    const { length } = window;
    const { pad_value: pad, scale } = this.#input;
    const found = this.#cut(window, content);
    const gap = length - found.length;
    const before = window.at === "head" ? 0 : window.at === "tail" ? gap : Math.floor(gap / 2);
    if (before > 0) this.#values.fill(pad * scale, at, at + before);
    this.#values.setBytes(found, at + before, scale);
    if (gap > before) this.#values.fill(pad * scale, at + before + found.length, at + length);
  }

  #cut({ at, length }: ByteWindow, content: FileContent): Uint8Array {
    const block = Math.max(length, this.#input.block_bytes ?? length);
    const from =
      at === "head"
        ? 0
        : at === "tail"
          ? Math.max(0, content.bytes - block)
          : Math.max(0, (content.bytes - block) >> 1);
    const found = content.slice(from, block);
    const bare = this.#input.strip === "whitespace" ? stripped(found, at) : found;
    if (bare.length <= length) return bare;
    if (at === "head") return bare.subarray(0, length);
    if (at === "tail") return bare.subarray(bare.length - length);
    const middle = (bare.length - length) >> 1;
    return bare.subarray(middle, middle + length);
  }

  feeds(rows: number): Record<string, Feed> {
    const { tensor } = this.#input;
    const data = this.#values.first(rows * this.#length);
    return { [tensor]: { type: this.#type, data, dims: [rows, this.#length] } };
  }
}

/** Takes white space off the ends of a window that are ends of the file. */
function stripped(bytes: Uint8Array, at: ByteWindow["at"]): Uint8Array {
  let from = 0;
  let to = bytes.length;
  if (at !== "tail") while (from < to && isSpace(bytes[from])) from += 1;
  if (at !== "head") while (to > from && isSpace(bytes[to - 1])) to -= 1;
  return bytes.subarray(from, to);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}
