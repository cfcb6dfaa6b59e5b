/** A list of files on standard input, kept in a file of the data folder until the run has it, so that all of it is checked first. */
import { createReadStream, createWriteStream, rmSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import { isInside } from "../../contract/inside.ts";
import { OutputNames } from "../../contract/output-name-set.ts";
import { pathFromBytes, printablePath } from "../../contract/path-bytes.ts";
import { isUndecoded } from "../../platform/current-folder.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { listNames, parseList, type ListOptions, type ListSeparator } from "../../platform/scan/list.ts";

/** So many paths fit into the specification of a run itself. */
const INLINE_PATHS = 1_000;
const SHOWN_FAULTS = 20;
const SHOWN_REPEATS = 3;
const SLASH = 47;
/** A name that is refused is shown no longer than this. */
const SHOWN_BYTES = 4_096;

export interface ListedInput {
  /** What the paths are relative to. */
  readonly root: string;
  readonly count: number;
  /** Entries that name a file which an earlier one names, so that they count for nothing; the first of them. */
  readonly repeats: { readonly count: number; readonly examples: readonly Repeat[] };
  /** All paths, when they are few. */
  readonly paths: readonly string[] | undefined;
  /** All paths; may be read again. */
  pages(): AsyncIterable<readonly string[]>;
  /** Removes the file. */
  close(): void;
}

/** Two entries of one file, by their positions in the list, from 1. */
export interface Repeat {
  readonly path: string;
  readonly first: number;
  readonly again: number;
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
    const mustBeAbsolute = isUndecoded(cwd);
    if (mustBeAbsolute) await refuseRelative(file, separator);
    // Names keep their meaning whatever stands beside them: relative ones are relative to the current folder.
    const base = mustBeAbsolute ? "/" : cwd;
    const options = { root: before ?? (await rootOf(file, base, separator)), base, separator };
    const { root } = options;
    const pages = () => pagesOf(file, options);
    const { count, first, repeats } = await checkAll(file, options);
    if (count === 0)
      throw new InvalidInputError("input", [
        { where: "standard input", expected: "a list of files", found: "nothing" },
      ]);
    return { root, count, repeats, paths: count <= INLINE_PATHS ? first : undefined, pages, close };
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

/** In a folder whose path cannot be told. @throws {InvalidInputError} at the first name that is relative to it */
async function refuseRelative(file: string, separator: ListSeparator): Promise<void> {
  let entry = 0;
  for await (const name of listNames(createReadStream(file), separator)) {
    if (name.length === 0) continue;
    entry += 1;
    if (name[0] === SLASH) continue;
    const expected = "an absolute path, for the path of the current folder is not UTF-8";
    const found = printablePath(pathFromBytes(name.subarray(0, SHOWN_BYTES)));
    throw new InvalidInputError("list of files", [{ where: `list entry ${entry}`, expected, found }]);
  }
}

type Checked = Pick<ListedInput, "count" | "repeats"> & { readonly first: string[] };

async function checkAll(file: string, options: ListOptions): Promise<Checked> {
  const faults: Fault[] = [];
  const first: string[] = [];
  const seen = new OutputNames();
  const repeats = { count: 0, examples: [] as Repeat[] };
  let count = 0;
  for await (const page of parseList(createReadStream(file), options)) {
    faults.push(...page.faults.slice(0, SHOWN_FAULTS - faults.length));
    for (const path of page.paths) {
      count += 1;
      const earlier = seen.claim(path, count);
      if (earlier === undefined) continue;
      repeats.count += 1;
      if (repeats.count <= SHOWN_REPEATS) repeats.examples.push({ path, first: earlier, again: count });
    }
    if (first.length < INLINE_PATHS) first.push(...page.paths.slice(0, INLINE_PATHS - first.length));
  }
  if (faults.length > 0) throw new InvalidInputError("list of files", faults);
  return { count, first, repeats };
}

async function* pagesOf(file: string, options: ListOptions): AsyncGenerator<readonly string[]> {
  for await (const page of parseList(createReadStream(file), options)) yield page.paths;
}
