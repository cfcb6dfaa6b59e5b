/** Text of bytes. */
import type { Failure } from "../result/outcome.ts";
import type { FileContent } from "./input-file.ts";

const strict = new TextDecoder("utf-8", { fatal: true });

/** Undefined when the bytes are not UTF-8. A byte order mark is taken off. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined; // The only error that a strict decoder knows.
  }
}

/** The text of a file, of its first `max_bytes` where it is to be cut; or why it is none. */
export function textOf(
  content: FileContent,
  { max_bytes: maxBytes, too_long: tooLong }: { readonly max_bytes: number; readonly too_long: string },
): string | Failure {
  const { bytes } = content;
  if (bytes === 0) return { class: "bad-input", message: "expected a file that is not empty, found 0 bytes" };
  if (bytes > maxBytes && tooLong !== "truncate") {
    return { class: "bad-input", message: `expected a file of at most ${maxBytes} bytes, found ${bytes}` };
  }
  const part = content.slice(0, Math.min(bytes, maxBytes));
  const text = decodeText(bytes > maxBytes ? wholeCharacters(part) : part);
  return text ?? { class: "bad-input", message: "expected a text in UTF-8, found bytes that are not UTF-8" };
}

/** The bytes without a character that was cut in two at their end. */
export function wholeCharacters(bytes: Uint8Array): Uint8Array {
  for (let back = 1; back <= Math.min(4, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return bytes;
    if (byte >= 0xc0) {
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return needed > back ? bytes.subarray(0, bytes.length - back) : bytes;
    }
  }
  return bytes;
}
