/** A list of files on standard input, kept in a file of the data folder until the run has it, so that all of it is checked first. */
import { createReadStream, createWriteStream, rmSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import { isInside } from "../../contract/inside.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { listNames, parseList, type ListOptions, type ListSeparator } from "../../platform/scan/list.ts";

/** So many paths fit into the specification of a run itself. */
const INLINE_PATHS = 1_000;
const SHOWN_FAULTS = 20;
const SLASH = 47;

export interface ListedInput {
  /** What the paths are relative to. */
  readonly root: string;
  readonly count: number;
  /** All paths, when they are few. */
  readonly paths: readonly string[] | undefined;
  /** All paths; may be read again. */
  pages(): AsyncIterable<readonly string[]>;
  /** Removes the file. */
  close(): void;
}

export interface ListSource {
  readonly stdin: Readable;
  readonly cwd: string;
  readonly home: string;
  readonly separator: ListSeparator;
  /** That of an earlier list of this run: outputs are named by paths relative to it, so names outside of it are refused. */
  readonly root?: string | undefined;
}

/** @throws {InvalidInputError} with the entries that are no usable names, and when the list is empty */
export async function openListedInput({ stdin, cwd, home, separator, root: before }: ListSource): Promise<ListedInput> {
  const folder = join(home, "tmp");
  makeFolders(folder);
  const file = join(folder, `list-${process.pid}-${Date.now()}`);
  const close = (): void => {
    rmSync(file, { force: true });
  };
  try {
    await pipeline(stdin, createWriteStream(file, { mode: 0o600 }));
    // Names keep their meaning whatever stands beside them: relative ones are relative to the current folder.
    const options = { root: before ?? (await rootOf(file, cwd, separator)), base: cwd, separator };
    const { root } = options;
    const pages = () => pagesOf(file, options);
    const { count, first } = await checkAll(file, options);
    if (count === 0)
      throw new InvalidInputError("input", [
        { where: "standard input", expected: "a list of files", found: "nothing" },
      ]);
    return { root, count, paths: count <= INLINE_PATHS ? first : undefined, pages, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** The current folder; `/` when one of the names is an absolute one outside of it. */
async function rootOf(file: string, cwd: string, separator: ListSeparator): Promise<string> {
  for await (const name of listNames(createReadStream(file), separator)) {
    if (name[0] === SLASH && !isInside(cwd, name.toString("utf8"))) return "/";
  }
  return cwd;
}

async function checkAll(file: string, options: ListOptions): Promise<{ count: number; first: string[] }> {
  const faults: Fault[] = [];
  const first: string[] = [];
  let count = 0;
  for await (const page of parseList(createReadStream(file), options)) {
    faults.push(...page.faults.slice(0, SHOWN_FAULTS - faults.length));
    count += page.paths.length;
    if (first.length < INLINE_PATHS) first.push(...page.paths.slice(0, INLINE_PATHS - first.length));
  }
  if (faults.length > 0) throw new InvalidInputError("list of files", faults);
  return { count, first };
}

async function* pagesOf(file: string, options: ListOptions): AsyncGenerator<readonly string[]> {
  for await (const page of parseList(createReadStream(file), options)) yield page.paths;
}
