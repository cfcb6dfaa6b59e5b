/** The files of a run, wherever its input says they come from, as one stream of batches. */
import { statSync, type Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { PathEscapeError } from "../../contract/errors.ts";
import { OutputNames } from "../../contract/output-name-set.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import type { InputSpec } from "../../contract/run-spec.ts";
import { assertNever } from "../assert.ts";
import { resolveConfined } from "../confined-path.ts";
import { Pace } from "./pace.ts";
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

async function* readListed({ root, paths }: ListInput, deps: SourceDeps): AsyncGenerator<ScanBatch> {
  const pages = paths === undefined ? deps.pages : [paths];
  if (pages === undefined) throw new TypeError("a list input needs the pages of its list");
  const found = new BatchBuilder();
  const seen = new OutputNames();
  const pace = new Pace();
  pace.begin();
  for await (const page of pages) {
    for (const listed of page) {
      const path = plainPath(listed);
      if (seen.claim(path, seen.size) !== undefined) continue;
      const pending = check(root, path, { found, isSlow: pace.isSlow });
      if (pending !== undefined) await pending;
      if (!pace.tick() && !found.isFull) continue;
      pace.end();
      deps.signal?.throwIfAborted();
      if (!found.isEmpty) yield found.take();
      await nextTurn();
      pace.begin();
    }
  }
  if (!found.isEmpty) yield found.take();
}

/** Without `.` parts and doubled slashes, so that one file has one path. What leaves the root stays as it is, and is refused. */
function plainPath(path: string): string {
  if (path.startsWith("/") || !/(?:^|\/)\.?(?:\/|$)/.test(path)) return path;
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}

interface Check {
  readonly found: BatchBuilder;
  readonly isSlow: boolean;
}

/** Looks at one listed file; a promise only on a slow disk. Nobody else named it, so what is not there has failed. */
function check(root: string, path: string, { found, isSlow }: Check): Promise<void> | undefined {
  try {
    const absolute = fsPath(resolveConfined(root, path));
    if (!isSlow) {
      addChecked(found, path, statSync(absolute));
      return undefined;
    }
    return stat(absolute).then(
      (result) => {
        addChecked(found, path, result);
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

function addChecked(found: BatchBuilder, path: string, result: Stats): void {
  if (result.isFile()) found.addFile(path, result.size);
  else if (result.isDirectory()) found.addProblem(refused(path, "expected a regular file, found a folder"));
  else found.addProblem(refused(path, "expected a regular file, found a pipe, socket or device"));
}

function addFailed(found: BatchBuilder, path: string, error: unknown): void {
  if (error instanceof PathEscapeError) found.addProblem(refused(path, error.message, "policy"));
  else if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") {
    found.addProblem(refused(path, "expected an existing file, found nothing there"));
  } else found.addProblem(problemOf(path, "file", error));
}
