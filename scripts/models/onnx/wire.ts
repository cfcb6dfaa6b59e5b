/** The protobuf wire format, as much of it as an ONNX file needs: variable-length integers, fixed 32 bit, length-delimited. */

const VARINT = 0;
const DELIMITED = 2;
const FIXED32 = 5;

/** One message under construction. Parts are kept by reference, so that large weights are copied once, at the end. */
export class Message {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** An integer field; negative ones in two's complement of 64 bits. */
  int(field: number, value: number | bigint): this {
    return this.#tag(field, VARINT).#varint(value);
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#tag(field, FIXED32).#push(bytes);
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#tag(field, DELIMITED).#varint(value.length).#push(value);
  }

  message(field: number, value: Message): this {
    this.#tag(field, DELIMITED).#varint(value.#length);
    for (const part of value.#parts) this.#push(part);
    return this;
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      whole.set(part, offset);
      offset += part.length;
    }
    return whole;
  }

  #tag(field: number, type: number): this {
    return this.#varint((field << 3) | type);
  }

  #varint(value: number | bigint): this {
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    do {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      bytes.push(rest > 0n ? low | 0x80 : low);
    } while (rest > 0n);
    return this.#push(Uint8Array.from(bytes));
  }

  #push(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }
}
