/**
 * File names are bytes; strings are UTF-16. Bytes that are not UTF-8 are carried as lone surrogates U+DC80…U+DCFF, the
 * scheme of PEP 383 ("surrogateescape"), so that any name survives strings and JSON and comes out as the same bytes.
 */

const ESCAPE_BASE = 0xdc00;

/** The string of a name read as bytes. */
export function pathFromBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString("utf8");
  if (!text.includes("\ufffd")) return text;
  let out = "";
  for (let at = 0; at < buffer.length;) {
    const length = sequenceLength(buffer, at);
    out +=
      length === 0 ? String.fromCharCode(ESCAPE_BASE + (buffer[at] ?? 0)) : buffer.toString("utf8", at, at + length);
    at += Math.max(1, length);
  }
  return out;
}

/** The bytes of a string made by `pathFromBytes`. */
export function pathToBytes(path: string): Buffer {
  if (!hasEscapedBytes(path)) return Buffer.from(path, "utf8");
  const parts: Buffer[] = [];
  let plain = "";
  for (const char of path) {
    const code = char.codePointAt(0) ?? 0;
    if (isEscape(code)) {
      parts.push(Buffer.from(plain, "utf8"), Buffer.of(code - ESCAPE_BASE));
      plain = "";
    } else {
      plain += char;
    }
  }
  parts.push(Buffer.from(plain, "utf8"));
  return Buffer.concat(parts);
}

/** What Node's file functions take: the string itself where it can be one, else its bytes. */
export function fsPath(path: string): string | Buffer {
  return hasEscapedBytes(path) ? pathToBytes(path) : path;
}

/** Whether a name holds bytes that are not UTF-8. */
export function hasEscapedBytes(path: string): boolean {
  return !path.isWellFormed();
}

/** What `printablePath` must look at: a backslash, a control character, half of a surrogate pair. */
const NEEDS_ESCAPE = /[\\\u0000-\u001f\u007f\ud800-\udfff]/;

/**
 * A form that any database and terminal takes and that can be undone: a byte that is not UTF-8 becomes `\xHH`, a
 * control character too, any other lone surrogate `\uHHHH`, and a backslash `\\`.
 */
export function printablePath(path: string): string {
  if (!NEEDS_ESCAPE.test(path)) return path;
  let out = "";
  for (const char of path) {
    const code = char.codePointAt(0) ?? 0;
    if (char === "\\") out += "\\\\";
    else if (isEscape(code)) out += hex(code - ESCAPE_BASE);
    else if (code < 0x20 || code === 0x7f) out += hex(code);
    else if (code >= 0xd800 && code <= 0xdfff) out += `\\u${code.toString(16)}`;
    else out += char;
  }
  return out;
}

/** Undoes `printablePath`. */
export function pathFromPrintable(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(/\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4}))/g, (_all, byte?: string, unit?: string) => {
    if (unit !== undefined) return String.fromCharCode(Number.parseInt(unit, 16));
    if (byte === undefined) return "\\";
    const code = Number.parseInt(byte, 16);
    return String.fromCharCode(code < 0x80 ? code : ESCAPE_BASE + code);
  });
}

function isEscape(code: number): boolean {
  return code >= ESCAPE_BASE + 0x80 && code <= ESCAPE_BASE + 0xff;
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

/** Length in bytes of the well-formed UTF-8 sequence at `at`, 0 when there is none (RFC 3629, section 4). */
function sequenceLength(buffer: Buffer, at: number): number {
  const length = announcedLength(buffer[at] ?? 0);
  if (length === 0 || at + length > buffer.length) return 0;
  const text = buffer.toString("utf8", at, at + length);
  return Buffer.from(text, "utf8").equals(buffer.subarray(at, at + length)) ? length : 0;
}

/** How long a sequence is by its first byte; 0 for a byte that begins none. */
function announcedLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
