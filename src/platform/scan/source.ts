/** The files of a run, wherever its input says they come from, as one stream of batches. */
import { lstatSync, statSync, type Stats } from "node:fs";
import { lstat, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { PathEscapeError } from "../../contract/errors.ts";
import { OutputNames } from "../../contract/output-name-set.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import type { InputSpec } from "../../contract/run-spec.ts";
import { assertNever } from "../assert.ts";
import { isRelativeInside, resolveConfined } from "../confined-path.ts";
import { Pace } from "./pace.ts";
import { createPathFilter } from "./path-filter.ts";
import { BATCH_FILES, BatchBuilder, codeOf, problemOf, refused, type ListInput, type ScanBatch } from "./scan-batch.ts";
import { walk, type WalkOptions } from "./walk.ts";

export interface SourceDeps extends WalkOptions {
  /** The paths of a `list` input that has none itself, in pages, relative to its root. */
  readonly pages?: AsyncIterable<readonly string[]> | Iterable<readonly string[]>;
}

/**
 * Opens the input of a run. A path that a list names twice is one file.
 * @throws {InvalidInputError} from the first step when the root of a tree cannot be read.
 */
export function openSource(input: InputSpec, deps: SourceDeps = {}): AsyncIterable<ScanBatch> {
  switch (input.kind) {
    case "tree":
      return walk(input, deps);
    case "list":
      return readListed(input, deps);
    case "synthetic":
      return makeUp(input.count, deps.signal);
    case "none":
      return makeUp(0, deps.signal);
    default:
      return assertNever(input);
  }
}

async function* makeUp(count: number, signal: AbortSignal | undefined): AsyncGenerator<ScanBatch> {
  for (let from = 0; from < count; from += BATCH_FILES) {
    signal?.throwIfAborted();
    const length = Math.min(BATCH_FILES, count - from);
    yield Array.from({ length }, (_, at) => ({ path: `f${from + at}`, bytes: 0 }));
    // 32 batches take about 2 ms.
    if ((from / BATCH_FILES) % 32 === 31) await nextTurn();
  }
}

async function* readListed(input: ListInput, deps: SourceDeps): AsyncGenerator<ScanBatch> {
  const pages = input.paths === undefined ? deps.pages : [input.paths];
  if (pages === undefined) throw new TypeError("a list input needs the pages of its list");
  const takes = createListFilter(input);
  const found = new BatchBuilder();
  const pace = new Pace();
  pace.begin();
  for await (const page of pages) {
    for (const listed of page) {
      const path = plainPath(listed);
      const pending = takes(path) ? check(input, path, { found, isSlow: pace.isSlow }) : undefined;
      if (pending !== undefined) await pending;
      if (!pace.tick() && !found.isFull) continue;
      pace.end();
      deps.signal?.throwIfAborted();
      // Also an empty one: who reads looks at a cancel with each.
      yield found.take();
      await nextTurn();
      pace.begin();
    }
  }
  if (!found.isEmpty) yield found.take();
}

/** Whether a path is wanted, and was not asked about before. A hidden name that is listed is meant. */
function createListFilter({ include = [], exclude = [] }: ListInput): (path: string) => boolean {
  const filter = createPathFilter({ include, exclude, hidden: true });
  const seen = new OutputNames();
  const isBelowExcluded = (path: string) => {
    for (let at = path.indexOf("/", 1); at > 0; at = path.indexOf("/", at + 1)) {
      if (!filter.entersFolder(path.slice(0, at))) return true;
    }
    return false;
  };
  return (path) =>
    filter.takesFile(path) &&
    !(exclude.length > 0 && isBelowExcluded(path)) &&
    seen.claim(path, seen.size) === undefined;
}

/** Without `.` parts and doubled slashes, so that one file has one path. What leaves the root stays as it is, and is refused. */
export function plainPath(path: string): string {
  if (path.startsWith("/") || !/(?:^|\/)\.?(?:\/|$)/.test(path)) return path;
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}

type LinkRule = Pick<ListInput, "root" | "symlinks">;

interface Check {
  readonly found: BatchBuilder;
  readonly isSlow: boolean;
}

/** Looks at one listed file; a promise only on a slow disk. Nobody else named it, so what is not there has failed. */
function check(input: LinkRule, path: string, { found, isSlow }: Check): Promise<void> | undefined {
  const { symlinks = "follow" } = input;
  try {
    const absolute = fsPath(confinedPath(input, path));
    if (!isSlow) {
      addChecked(found, path, { stats: symlinks === "follow" ? statSync(absolute) : lstatSync(absolute), symlinks });
      return undefined;
    }
    return (symlinks === "follow" ? stat(absolute) : lstat(absolute)).then(
      (stats) => {
        addChecked(found, path, { stats, symlinks });
      },
      (error: unknown) => {
        addFailed(found, path, error);
      },
    );
  } catch (error) {
    addFailed(found, path, error);
    return undefined;
  }
}

/** A link that is not followed may lead anywhere: then only its folder has to be inside. */
function confinedPath({ root, symlinks = "follow" }: LinkRule, path: string): string {
  if (symlinks === "follow" || !isRelativeInside(path)) return resolveConfined(root, path);
  return join(resolveConfined(root, dirname(path)), basename(path));
}

interface Checked {
  readonly stats: Stats;
  readonly symlinks: "skip" | "follow" | "refuse";
}

function addChecked(found: BatchBuilder, path: string, { stats, symlinks }: Checked): void {
  if (stats.isFile()) found.addFile(path, stats.size);
  else if (stats.isSymbolicLink() && symlinks === "skip") {
    const message = "left out, because it is a symbolic link, which this run does not follow";
    found.addProblem({ path, message, class: "policy", outcome: "skipped" });
  } else if (stats.isSymbolicLink()) found.addProblem(refused(path, "expected no symbolic link", "policy"));
  else if (stats.isDirectory()) found.addProblem(refused(path, "expected a regular file, found a folder"));
  else found.addProblem(refused(path, "expected a regular file, found a pipe, socket or device"));
}

function addFailed(found: BatchBuilder, path: string, error: unknown): void {
  if (error instanceof PathEscapeError) found.addProblem(refused(path, error.message, "policy"));
  else if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") {
    found.addProblem(refused(path, "expected an existing file, found nothing there"));
  } else found.addProblem(problemOf(path, "file", error));
}
