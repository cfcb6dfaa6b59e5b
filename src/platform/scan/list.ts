/**
 * Reads a list of input files from a stream of bytes, such as standard input. Names are separated by newlines or by NUL;
 * `auto` takes NUL if one comes within the first 64 KiB, as `find -print0` writes it. Names are kept byte for byte.
 */
import { resolve } from "node:path";
import type { Fault } from "../../contract/errors.ts";
import { isInside } from "../../contract/inside.ts";
import { pathFromBytes, printablePath } from "../../contract/path-bytes.ts";
import { BATCH_FILES } from "./scan-batch.ts";

export type ListSeparator = "auto" | "newline" | "nul";

export interface ListOptions {
  /** The input root, absolute. All names must lie inside. */
  readonly root: string;
  /** What relative names are relative to, absolute; the root by default. */
  readonly base?: string;
  readonly separator?: ListSeparator;
}

/** Paths relative to the root, and the names that are none. `where` of a fault is the position in the list, from 1. */
export interface ListPage {
  readonly paths: readonly string[];
  readonly faults: readonly Fault[];
}

const NUL = 0;
const NEWLINE = 10;
const DETECT_BYTES = 65_536;
/** Longer than any path that a system call takes. */
const NAME_BYTES = 16_384;

/** The list in pages; empty names (an empty line, the end of the last line) are left out. */
export async function* parseList(
  stream: AsyncIterable<Uint8Array | string>,
  options: ListOptions,
): AsyncGenerator<ListPage> {
  const page = new PageBuilder(resolve(options.root), resolve(options.base ?? options.root));
  for await (const name of listNames(stream, options.separator ?? "auto")) {
    page.add(name);
    if (page.isFull) yield page.take();
  }
  if (!page.isEmpty) yield page.take();
}

/** The names as they stand in the list, empty ones too. */
export async function* listNames(
  stream: AsyncIterable<Uint8Array | string>,
  separator: ListSeparator,
): AsyncGenerator<Buffer> {
  let mark = separator === "nul" ? NUL : separator === "newline" ? NEWLINE : undefined;
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of stream) {
    rest = Buffer.concat([rest, typeof piece === "string" ? Buffer.from(piece, "utf8") : piece]);
    mark ??= detect(rest);
    if (mark === undefined) continue;
    let from = 0;
    for (let at = rest.indexOf(mark); at >= 0; at = rest.indexOf(mark, from)) {
      yield rest.subarray(from, at);
      from = at + 1;
    }
    rest = rest.subarray(from);
    // A name without an end must not eat the memory; the part that is kept is long enough to be refused.
    if (rest.length > NAME_BYTES * 2) rest = rest.subarray(0, NAME_BYTES + 1);
  }
  // A short list ends before the separator was sure.
  for (const name of splitAll(rest, mark ?? (rest.includes(NUL) ? NUL : NEWLINE))) yield name;
}

function detect(start: Buffer): number | undefined {
  if (start.includes(NUL)) return NUL;
  return start.length >= DETECT_BYTES ? NEWLINE : undefined;
}

function splitAll(bytes: Buffer, mark: number): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, from)) {
    parts.push(bytes.subarray(from, at));
    from = at + 1;
  }
  parts.push(bytes.subarray(from));
  return parts;
}

class PageBuilder {
  readonly #root: string;
  readonly #base: string;
  #paths: string[] = [];
  #faults: Fault[] = [];
  #count = 0;

  constructor(root: string, base: string) {
    this.#root = root;
    this.#base = base;
  }

  get isFull(): boolean {
    return this.#paths.length + this.#faults.length >= BATCH_FILES;
  }

  get isEmpty(): boolean {
    return this.#paths.length + this.#faults.length === 0;
  }

  add(name: Buffer): void {
    if (name.length === 0) return;
    this.#count += 1;
    if (name.length > NAME_BYTES) {
      this.#refuse(`a name of ${NAME_BYTES} bytes at most`, "a longer one");
      return;
    }
    const path = pathFromBytes(name);
    const inside = this.#relative(path);
    if (path.split("/").includes("..")) this.#refuse("a path without ..", printablePath(path));
    else if (inside === undefined) this.#refuse(`a path inside ${printablePath(this.#root)}`, printablePath(path));
    else if (path.includes("\0")) this.#refuse("one name per line", `${printablePath(path)} (NUL bytes: use --null)`);
    else this.#paths.push(inside);
  }

  take(): ListPage {
    const page = { paths: this.#paths, faults: this.#faults };
    this.#paths = [];
    this.#faults = [];
    return page;
  }

  /** Relative to the root, without `.` parts and doubled slashes; undefined for what is not below it. */
  #relative(path: string): string | undefined {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.length === 0) return undefined;
    const plain = parts.join("/");
    const absolute = path.startsWith("/") || this.#base === "/" ? `/${plain}` : `${this.#base}/${plain}`;
    if (!isInside(this.#root, absolute) || absolute === this.#root) return undefined;
    return absolute.slice(this.#root === "/" ? 1 : this.#root.length + 1);
  }

  #refuse(expected: string, found: string): void {
    this.#faults.push({ where: `list entry ${this.#count}`, expected, found });
  }
}
