/** A kernel file that is read again and again: one open descriptor, one `pread` per reading, one shared buffer. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

let buffer = Buffer.allocUnsafe(16 * 1024);

export class CachedFile {
  readonly path: string;
  #fd: number | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** The whole text as it is now. @throws when the file cannot be opened or read; the next call opens it anew */
  read(): string {
    try {
      this.#fd ??= openSync(this.path, "r");
      for (;;) {
        const length = readSync(this.#fd, buffer, 0, buffer.length, 0);
        if (length < buffer.length) return buffer.toString("latin1", 0, length);
        buffer = Buffer.allocUnsafe(buffer.length * 2);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    if (this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    closeSync(fd);
  }
}

/** The text of a file that need not be there: undefined when it cannot be read. */
export function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // The caller asked whether it is there: kernels and containers differ in which of these files they show.
    return undefined;
  }
}

/** A whole number that is the only thing in the text. @throws when it is none */
export function parseWhole(text: string, path: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw unexpected(path, "a number", text);
  return value;
}

/** The number after `key` at the start of a line. @throws when there is none */
export function parseField(text: string, key: string, path: string): number {
  const value = findField(text, key);
  if (value === undefined) throw unexpected(path, `a line "${key}"`, text);
  return value;
}

/** The number after `key` at the start of a line, or undefined. */
export function findField(text: string, key: string): number | undefined {
  let at = text.startsWith(key) ? 0 : text.indexOf(`\n${key}`);
  if (at < 0) return undefined;
  at += at === 0 && text.startsWith(key) ? key.length : key.length + 1;
  const value = Number.parseInt(text.slice(at, at + 32), 10);
  return Number.isFinite(value) ? value : undefined;
}

/** Says what a kernel file was expected to hold. */
export function unexpected(path: string, expected: string, found: string): Error {
  return new Error(`expected ${expected} in ${path}, found ${JSON.stringify(found.slice(0, 80))}`);
}
