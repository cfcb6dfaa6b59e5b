/**
 * Walks the input tree of a run as a stream of batches. Depth first: the folders from the root to the current one are
 * open, each with one page of entries, so memory depends on the depth of the tree and on nothing else. Work is done in
 * slices of a few milliseconds with a pause after each. What cannot be read is reported, and the walk goes on.
 */
import { lstatSync, statSync, type Stats } from "node:fs";
import { lstat } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { InvalidInputError } from "../../contract/errors.ts";
import { isInside } from "../../contract/inside.ts";
import { fsPath, printablePath } from "../../contract/path-bytes.ts";
import { realPathOf } from "../confined-path.ts";
import { Folder, type EntryKind, type FolderEntry } from "./folder.ts";
import { Pace } from "./pace.ts";
import { createPathFilter, type PathFilter } from "./path-filter.ts";
import { BatchBuilder, codeOf, problemOf, refused, vanished, type ScanBatch, type TreeInput } from "./scan-batch.ts";

export interface WalkOptions {
  /** The output folder of the run: left out when it lies inside the input. */
  readonly outputRoot?: string;
  readonly signal?: AbortSignal;
}

const noStats: ReadonlyMap<number, Stats | Error> = new Map();
/** Calls made together while the disk is slow. */
const PARALLEL_CALLS = 32;

/**
 * The files of a tree, in the order in which the folders list them.
 * @throws {InvalidInputError} when the root is no readable folder, is the output folder, or a pattern is none.
 */
export async function* walk(input: TreeInput, options: WalkOptions = {}): AsyncGenerator<ScanBatch> {
  const walker = await Walker.open(input, options.outputRoot);
  try {
    while (!walker.isDone) {
      options.signal?.throwIfAborted();
      await walker.runSlice();
      if (!walker.found.isEmpty) yield walker.found.take();
      await nextTurn();
    }
  } finally {
    walker.close();
  }
}

interface OpenFolder {
  readonly path: string;
  readonly folder: Folder;
  /** Device and inode; known only where links are followed, for only they can lead back to a folder above. */
  readonly identity: string | undefined;
  page: FolderEntry[];
  at: number;
  /** Results of calls that were made ahead, by position in the page. */
  stats: ReadonlyMap<number, Stats | Error>;
}

class Walker {
  readonly found = new BatchBuilder();
  readonly #input: TreeInput;
  readonly #filter: PathFilter;
  readonly #root: string;
  readonly #realRoot: string;
  readonly #realOutput: string | undefined;
  readonly #pace = new Pace();
  readonly #open: OpenFolder[] = [];

  private constructor(input: TreeInput, realRoot: string, realOutput: string | undefined) {
    this.#input = input;
    this.#filter = createPathFilter(input);
    this.#root = input.root.endsWith("/") ? input.root.slice(0, -1) : input.root;
    this.#realRoot = realRoot;
    this.#realOutput = realOutput;
  }

  static async open(input: TreeInput, outputRoot: string | undefined): Promise<Walker> {
    const realRoot = checkRoot(input.root);
    const realOutput = outputRoot === undefined ? undefined : realOutputOf(outputRoot);
    if (realOutput === realRoot) throw rootFault("output", "a folder other than the input folder", "the same folder");
    const walker = new Walker(
      input,
      realRoot,
      realOutput !== undefined && isInside(realRoot, realOutput) ? realOutput : undefined,
    );
    try {
      await walker.#enter("");
    } catch (error) {
      throw rootFault("input", "a readable folder", `${printablePath(input.root)} (${codeOf(error)})`, error);
    }
    return walker;
  }

  get isDone(): boolean {
    return this.#open.length === 0;
  }

  /** Works until the slice is over, the batch is full or the tree ends. */
  async runSlice(): Promise<void> {
    this.#pace.begin();
    for (let frame = this.#open.at(-1); frame !== undefined; frame = this.#open.at(-1)) {
      const entry = frame.page[frame.at];
      if (entry === undefined) await this.#turnPage(frame);
      else {
        frame.at += 1;
        // A file needs no turn of the microtask queue, which would cost as much as the look at it.
        const entering = this.#take(frame, entry);
        if (entering !== undefined) await entering;
      }
      if (this.#pace.tick() || this.found.isFull) break;
    }
    this.#pace.end();
  }

  close(): void {
    for (const { folder } of this.#open) folder.close();
    this.#open.length = 0;
  }

  /** Opens a folder and makes it the current one. */
  async #enter(path: string): Promise<void> {
    let identity: string | undefined;
    if (this.#input.symlinks === "follow") {
      const stat = statSync(fsPath(this.#absolute(path)));
      identity = `${stat.dev}:${stat.ino}`;
      if (this.#open.some((above) => above.identity === identity)) {
        this.found.addProblem(refused(path, "expected no loop, found a link to a folder above it", "policy"));
        return;
      }
    }
    const folder = await Folder.open(this.#absolute(path), this.#pace.isSlow);
    this.#open.push({ path, folder, identity, page: [], at: 0, stats: noStats });
  }

  async #turnPage(frame: OpenFolder): Promise<void> {
    const { isSlow } = this.#pace;
    try {
      const page = await frame.folder.nextPage(isSlow);
      if (page === undefined) {
        frame.folder.close();
        this.#open.pop();
        return;
      }
      frame.page = page;
      frame.at = 0;
      frame.stats = isSlow ? await this.#statAhead(frame.path, page) : noStats;
    } catch (error) {
      this.found.addProblem(problemOf(frame.path === "" ? "." : frame.path, "folder", error));
      frame.folder.close();
      this.#open.pop();
    }
  }

  /** Looks at the files of a page with several calls at a time, for a disk on which one call takes long. */
  async #statAhead(folder: string, page: readonly FolderEntry[]): Promise<Map<number, Stats | Error>> {
    const stats = new Map<number, Stats | Error>();
    const wanted = [...page.keys()].filter((at) => {
      const entry = page[at];
      return entry?.kind === "file" && this.#takesEntry(join(folder, entry.name), entry);
    });
    for (let from = 0; from < wanted.length; from += PARALLEL_CALLS) {
      const some = wanted.slice(from, from + PARALLEL_CALLS);
      this.#pace.count(some.length);
      await Promise.all(
        some.map(async (at) => {
          const path = join(folder, page[at]?.name ?? "");
          stats.set(at, await lstat(fsPath(this.#absolute(path))).catch((error: unknown) => toError(error)));
        }),
      );
    }
    return stats;
  }

  #takesEntry(path: string, entry: FolderEntry): boolean {
    return this.#filter.allowsName(entry.name) && this.#filter.takesFile(path);
  }

  /** A promise when a folder may have to be entered. */
  #take(frame: OpenFolder, entry: FolderEntry): Promise<void> | undefined {
    if (!this.#filter.allowsName(entry.name)) return undefined;
    const path = join(frame.path, entry.name);
    if (entry.kind !== "file") return this.#takeOther(path, entry.kind);
    if (this.#filter.takesFile(path)) this.#takeFile(path, frame.stats.get(frame.at - 1));
    return undefined;
  }

  async #takeOther(path: string, listedKind: EntryKind): Promise<void> {
    const kind = listedKind === "unknown" ? this.#kindNow(path) : listedKind;
    if (kind === "folder") {
      await this.#takeFolder(path);
    } else if (kind === "link") {
      await this.#takeLink(path);
    } else if (kind !== undefined && this.#filter.takesFile(path)) {
      if (kind === "file") this.#takeFile(path, undefined);
      else this.found.addProblem(refused(path, "expected a regular file, found a pipe, socket or device"));
    }
  }

  #takeFile(path: string, known: Stats | Error | undefined): void {
    try {
      const stat = known ?? lstatSync(fsPath(this.#absolute(path)), { throwIfNoEntry: false });
      if (stat instanceof Error) this.found.addProblem(problemOf(path, "file", stat));
      else if (stat === undefined) this.found.addProblem(vanished(path, "file"));
      else if (stat.isFile()) this.found.addFile(path, stat.size);
      else
        this.found.addProblem(refused(path, "expected a regular file, found that it was replaced by something else"));
    } catch (error) {
      this.found.addProblem(problemOf(path, "file", error));
    }
  }

  async #takeFolder(path: string): Promise<void> {
    if (!this.#filter.entersFolder(path)) return;
    try {
      if (this.#isOutput(path)) return;
      await this.#enter(path);
    } catch (error) {
      this.found.addProblem(problemOf(path, "folder", error));
    }
  }

  #isOutput(path: string): boolean {
    if (this.#realOutput === undefined) return false;
    // Without links to follow a path below the real root is a real path.
    const isReal = this.#input.symlinks !== "follow";
    return isInside(this.#realOutput, isReal ? join(this.#realRoot, path) : realPathOf(this.#absolute(path)));
  }

  async #takeLink(path: string): Promise<void> {
    if (this.#input.symlinks === "skip") return;
    if (this.#input.symlinks === "refuse") {
      if (this.#filter.takesFile(path)) this.found.addProblem(refused(path, "expected no symbolic link", "policy"));
      return;
    }
    const target = this.#targetOf(path);
    if (target === undefined) return;
    if (!isInside(this.#realRoot, target.realPath)) {
      const message = `expected a link that stays inside the input folder, found one to ${printablePath(target.realPath)}`;
      this.found.addProblem(refused(path, message, "policy"));
    } else if (target.stat.isDirectory()) {
      await this.#takeFolder(path);
    } else if (this.#realOutput !== undefined && isInside(this.#realOutput, target.realPath)) {
      // A link to an output of this very run is no input either.
    } else if (!this.#filter.takesFile(path)) {
      return;
    } else if (target.stat.isFile()) {
      this.found.addFile(path, target.stat.size);
    } else {
      this.found.addProblem(refused(path, "expected a link to a regular file, found one to a pipe, socket or device"));
    }
  }

  #targetOf(path: string): { realPath: string; stat: Stats } | undefined {
    const absolute = this.#absolute(path);
    try {
      const stat = statSync(fsPath(absolute));
      return { realPath: realPathOf(absolute), stat };
    } catch (error) {
      const isDangling = codeOf(error) === "ENOENT";
      const problem = isDangling ? refused(path, "expected a link to a file, found one to nothing") : undefined;
      this.found.addProblem(problem ?? problemOf(path, "link", error));
      return undefined;
    }
  }

  /** What an entry is, for file systems that do not say so in the folder. */
  #kindNow(path: string): EntryKind | undefined {
    try {
      const stat = lstatSync(fsPath(this.#absolute(path)));
      if (stat.isFile()) return "file";
      if (stat.isDirectory()) return "folder";
      return stat.isSymbolicLink() ? "link" : "special";
    } catch (error) {
      this.found.addProblem(problemOf(path, "file", error));
      return undefined;
    }
  }

  #absolute(path: string): string {
    return path === "" ? this.#root || "/" : `${this.#root}/${path}`;
  }
}

/** The root without links. @throws {InvalidInputError} when it is no folder. */
function checkRoot(root: string): string {
  const stat = statOrError(root);
  if (stat instanceof Error) {
    throw rootFault("input", "an existing folder", `${printablePath(root)} (${codeOf(stat)})`, stat);
  }
  if (!stat.isDirectory())
    throw rootFault("input", "a folder (files are given as a list)", `a file at ${printablePath(root)}`);
  return realPathOf(root);
}

/** The output folder without links, though it may not be there yet. @throws {InvalidInputError} when it cannot be. */
function realOutputOf(root: string): string {
  try {
    return realPathOf(root);
  } catch (error) {
    const expected = `a folder that can be made at ${printablePath(root)}`;
    throw rootFault("output", expected, codeOf(error), error);
  }
}

function statOrError(path: string): Stats | Error {
  try {
    return statSync(fsPath(path));
  } catch (error) {
    return toError(error);
  }
}

function rootFault(where: string, expected: string, found: string, cause?: unknown): InvalidInputError {
  return new InvalidInputError("run", [{ where, expected, found }], { cause });
}

function join(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
