/** Opens and measures one input: inside the root, a regular file, of an allowed size; links by the run's policy. */
import { closeSync, constants, fstatSync, openSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { PathEscapeError } from "../../contract/errors.ts";
import { isInside } from "../../contract/inside.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import { isRelativeInside, openedPath, realPathOf } from "../../platform/confined-path.ts";
import { errnoOf } from "../result/errno.ts";
import { hashOpen } from "../result/digests.ts";
import type { Failure } from "../result/outcome.ts";
import { identityOf, type FileIdentity } from "./file-identity.ts";

export interface OpenedInput {
  readonly path: string;
  /** Null where there is no file to be looked at again. */
  readonly identity: FileIdentity | null;
  readonly bytes: number;
  readonly sha256: string;
}

/** An input that may be read. */
export interface InputHandle {
  readonly fd: number;
  readonly path: string;
  readonly stat: Stats;
}

const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
const FOLDERS_KEPT = 10_000;

type InputRulesOf = Pick<RunSpec, "input" | "inputRules">;

/** Reads the inputs of one run; folders are resolved once. */
export class InputReader {
  readonly #spec: InputRulesOf;
  readonly #root: string;
  readonly #realFolders = new Map<string, string>();
  /** Where the policy has found the root; what is opened must then lie there, whatever links have become since. */
  readonly #allowedRoot: string | undefined;
  #realRootPath: string | undefined;

  constructor(spec: InputRulesOf, allowedRoot: string | undefined) {
    this.#spec = spec;
    this.#root = spec.input.root.replace(/\/+$/, "") || "/";
    this.#allowedRoot = allowedRoot;
    this.#realRootPath = allowedRoot;
  }

  /** The absolute path of an entry, as the command gets it. */
  pathOf(relative: string): string {
    return this.#root === "/" ? `/${relative}` : `${this.#root}/${relative}`;
  }

  /** The folder of a path without links. */
  realFolderOf(path: string): string {
    const folder = dirname(path);
    let real = this.#realFolders.get(folder);
    if (real === undefined) {
      if (this.#realFolders.size >= FOLDERS_KEPT) this.#realFolders.clear();
      real = realPathOf(folder);
      this.#realFolders.set(folder, real);
    }
    return real;
  }

  /** Whether a path without links is one of these entries, reached through the root without links. */
  isEntry(real: string, entries: ReadonlySet<string>): boolean {
    const root = this.#realRoot();
    return isInside(root, real) && entries.has(this.pathOf(real.slice(root === "/" ? 1 : root.length + 1)));
  }

  /** The input with its digest, or why it cannot be one. */
  async read(relative: string): Promise<OpenedInput | Failure> {
    const { input } = this.#spec;
    if (input.kind === "none") return { path: "", identity: null, bytes: 0, sha256: input.sha256 };
    const opened = this.open(relative);
    if ("class" in opened) return opened;
    const { fd, path, stat } = opened;
    try {
      const { sha256, bytes } = await hashOpen(fd, stat.size);
      return { path, identity: identityOf(stat), bytes, sha256 };
    } catch (error) {
      return unreadable(error);
    } finally {
      closeSync(fd);
    }
  }

  /** The input, open, or why it cannot be one. The caller closes `fd`. */
  open(relative: string): InputHandle | Failure {
    const fd = this.#openFile(relative);
    if (typeof fd !== "number") return fd;
    const refusal = (failure: Failure): Failure => {
      closeSync(fd);
      return failure;
    };
    try {
      if (this.#allowedRoot !== undefined && !isInside(this.#allowedRoot, openedPath(fd) ?? "")) {
        return refusal(escape("no link that leaves the input folder"));
      }
      const stat = fstatSync(fd);
      const failure = this.#sizeFailure(stat);
      return failure === null ? { fd, path: this.pathOf(relative), stat } : refusal(failure);
    } catch (error) {
      return refusal(unreadable(error));
    }
  }

  #openFile(relative: string): number | Failure {
    if (!isRelativeInside(relative)) return escape("a path inside the input folder");
    const path = this.pathOf(relative);
    try {
      if (!isInside(this.#realRoot(), this.realFolderOf(path))) return escape("no link that leaves the input folder");
      return openSync(fsPath(path), FLAGS);
    } catch (error) {
      return errnoOf(error) === "ELOOP" ? this.#openLink(path) : unreadable(error);
    }
  }

  #realRoot(): string {
    this.#realRootPath ??= realPathOf(this.#root);
    return this.#realRootPath;
  }

  /** A link may be read when the run follows links, and it stays inside the root. */
  #openLink(path: string): number | Failure {
    const { input } = this.#spec;
    if ("symlinks" in input && (input.symlinks ?? "follow") !== "follow") {
      return {
        class: "policy",
        message: "expected a regular file, found a symbolic link, which this run does not follow",
      };
    }
    try {
      const real = realPathOf(path);
      if (!isInside(this.#realRoot(), real)) return escape("no link that leaves the input folder");
      return openSync(fsPath(real), FLAGS);
    } catch (error) {
      return error instanceof PathEscapeError ? escape("no link that leaves the input folder") : unreadable(error);
    }
  }

  #sizeFailure(stat: Stats): Failure | null {
    const { minBytes, maxBytes } = this.#spec.inputRules;
    if (!stat.isFile()) return { class: "bad-input", message: `expected a regular file, found ${kindOf(stat)}` };
    if (stat.size < minBytes) {
      return { class: "bad-input", message: `expected an input of at least ${minBytes} bytes, found ${stat.size}` };
    }
    if (maxBytes !== undefined && stat.size > maxBytes) {
      return { class: "bad-input", message: `expected an input of at most ${maxBytes} bytes, found ${stat.size}` };
    }
    return null;
  }
}

function escape(expected: string): Failure {
  return { class: "policy", message: `expected ${expected}, found a path that leads out of it` };
}

const unreadableTexts: Readonly<Record<string, string>> = {
  ENOENT: "found none",
  ENOTDIR: "found a part of its path that is no folder",
  EACCES: "found no permission to read it",
  EPERM: "found no permission to read it",
  ENXIO: "found a socket",
  ELOOP: "found links that go round in a circle",
};

/** Why an input cannot be read. */
export function unreadable(error: unknown): Failure {
  const errno = errnoOf(error);
  const text = unreadableTexts[errno];
  // Anything else (EIO, EMFILE, ESTALE…) is the machine's fault, not the file's.
  if (text === undefined) return { class: "infrastructure", message: `could not read the input: ${errno}` };
  return { class: "bad-input", message: `expected a file that can be read, ${text}` };
}

function kindOf(stat: Stats): string {
  if (stat.isDirectory()) return "a folder";
  if (stat.isFIFO()) return "a named pipe";
  return stat.isSocket() ? "a socket" : "a device";
}
