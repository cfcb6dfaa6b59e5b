/**
 * Outputs appear whole, once: written under a temporary name in the target's folder, examined, flushed to disk, allowed
 * by the lease, renamed, and the folder flushed. A crash at any point leaves the old file or the new one.
 *
 * Rename replaces an older output of the same name: a run that is repeated over its output folder renews it. That two
 * runs share a folder, or two inputs a name, is refused before (lock of the output folder, `TargetPlan`).
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
} from "node:fs";
import { opendir, rm } from "node:fs/promises";
import { promisify } from "node:util";
import { fsPath, pathFromBytes } from "../../contract/path-bytes.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import { hashOpen } from "./digests.ts";
import { errnoOf } from "./errno.ts";
import { isFullErrno, type Failure } from "./outcome.ts";
import { tempPrefix, type Target } from "./target.ts";

const fsyncAsync = promisify(fsync);
/** Faster than this on average, a flush is not worth a turn through the thread pool. */
const FAST_FLUSH_MS = 1;
const FLUSH_WEIGHT = 0.1;

/** An output that keeps the rules. The caller closes `fd`. */
export interface WholeOutput {
  readonly fd: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** Looks at what a process wrote: there, a regular file, of an allowed size. */
export async function examineOutput(temp: string, rules: RunSpec["output"]): Promise<WholeOutput | Failure> {
  let fd: number;
  try {
    fd = openSync(fsPath(temp), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    return cannotOpen(errnoOf(error));
  }
  try {
    const stat = fstatSync(fd);
    const failure = !stat.isFile()
      ? badOutput("a regular file", "something else")
      : stat.size === 0 && !rules.allowEmpty
        ? badOutput("an output that is not empty", "0 bytes")
        : stat.size > rules.maxBytes
          ? badOutput(`an output of at most ${rules.maxBytes} bytes`, `${stat.size}`)
          : rules.json === true
            ? jsonFailure(fd, stat.size)
            : null;
    if (failure === null) return { fd, ...(await hashOpen(fd, stat.size)) };
    closeSync(fd);
    return failure;
  } catch (error) {
    closeSync(fd);
    return { class: "infrastructure", message: `could not read the output: ${errnoOf(error)}` };
  }
}

/** Cuts what a process wrote down to what may be kept; what is no file is left as it is, for whoever examines it. */
export function cutOutput(temp: string, maxBytes: number): void {
  let fd: number;
  try {
    fd = openSync(fsPath(temp), constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return;
  }
  try {
    const stat = fstatSync(fd);
    if (stat.isFile() && stat.size > maxBytes) ftruncateSync(fd, maxBytes);
  } finally {
    closeSync(fd);
  }
}

/** Later nodes of a flow read it whole. */
export const MAX_JSON_BYTES = 256 * 1024;

function jsonFailure(fd: number, bytes: number): Failure | null {
  if (bytes > MAX_JSON_BYTES) return badOutput(`JSON of at most ${MAX_JSON_BYTES} bytes`, `${bytes}`);
  try {
    const buffer = Buffer.alloc(bytes);
    readSync(fd, buffer, 0, bytes, 0);
    JSON.parse(buffer.toString("utf8"));
    return null;
  } catch (error) {
    if (error instanceof SyntaxError) return badOutput("an output that is JSON", error.message);
    throw error;
  }
}

function cannotOpen(errno: string): Failure {
  if (errno === "ENOENT") return badOutput("the command to write its output", "no file");
  if (errno === "ELOOP") return badOutput("a regular file", "a symbolic link");
  return { class: "infrastructure", message: `could not read the output: ${errno}` };
}

function badOutput(expected: string, found: string): Failure {
  return { class: "bad-output", message: `expected ${expected}, found ${found}` };
}

/**
 * Flushes to disk. A turn through the thread pool costs more than a flush to a fast disk takes, and takes the pool from
 * others; a slow disk would hold this thread up, but takes many flushes at once. So fast ones are done here, slow ones
 * there; the mean of the last ones tells.
 */
export class Flusher {
  #meanMs = 0;

  /** Flushes an output and closes it; why that failed, or null. */
  async flushOutput({ fd }: WholeOutput): Promise<Failure | null> {
    try {
      await this.#flush(fd);
      return null;
    } catch (error) {
      return notKept("flush the output to disk", error);
    } finally {
      closeSync(fd);
    }
  }

  /** Flushes the names in a folder; why that failed, or null. */
  async flushFolder(folder: string): Promise<Failure | null> {
    try {
      const fd = openSync(fsPath(folder), constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        await this.#flush(fd);
      } finally {
        closeSync(fd);
      }
      return null;
    } catch (error) {
      // Some network file systems know no flush of folders; their renames are durable by themselves.
      return errnoOf(error) === "EINVAL" ? null : notKept("flush the output folder to disk", error);
    }
  }

  async #flush(fd: number): Promise<void> {
    const startedMs = performance.now();
    if (this.#meanMs < FAST_FLUSH_MS) fsyncSync(fd);
    else await fsyncAsync(fd);
    this.#meanMs += FLUSH_WEIGHT * (performance.now() - startedMs - this.#meanMs);
  }
}

/** Gives the output its name; why that failed, or null. */
export function renameOutput({ temp, path }: Target): Failure | null {
  try {
    renameSync(fsPath(temp), fsPath(path));
    return null;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EISDIR" || errno === "ENOTEMPTY" || errno === "EEXIST") {
      return { class: "policy", message: "expected a file or nothing under the output's name, found a folder" };
    }
    return notKept("rename the output", error);
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota used up",
  EROFS: "a read-only file system",
  EIO: "an input/output error of the disk",
  EACCES: "no permission to write there",
};

function notKept(step: string, error: unknown): Failure {
  const errno = errnoOf(error);
  const found = reasons[errno] ?? errno;
  const message = `could not ${step}: expected a disk that takes it, found ${found}`;
  return { class: "infrastructure", message, ...(isFullErrno(errno) && { isDiskFull: true }) };
}

/**
 * Removes a temporary file, or a folder that the command made in its place; that there is none is as good. Returns why not
 * all of a folder could be removed, or null: its file has failed in any case, and the end of the run tries again.
 * @throws when a file cannot be removed
 */
export function removeTempSync({ temp }: Target): string | null {
  const path = fsPath(temp);
  try {
    unlinkSync(path);
    return null;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    if (errnoOf(error) !== "EISDIR") throw error;
  }
  try {
    rmSync(path, { recursive: true, force: true });
    return null;
  } catch (error) {
    return errnoOf(error);
  }
}

/** What is logged where something under a temporary name could not be removed. */
export const NOT_REMOVED = "what is under a temporary name could not be removed";

/** The same where many may be in such a folder and others wait for the thread; why not all could be removed, of a file too. */
export function removeTemp(path: string | Buffer): Promise<string | null> {
  return rm(path, { recursive: true, force: true }).then(() => null, errnoOf);
}

export interface Removal {
  readonly removed: number;
  /** What could not be removed, with the reason. */
  readonly left: readonly { readonly path: string; readonly reason: string }[];
}

/**
 * Removes what attempts of a run left under temporary names anywhere below its output root: for the end of a run, when
 * nothing of it runs any more.
 */
export async function removeStaleTemps(outputRoot: string, runId: string): Promise<Removal> {
  const prefix = Buffer.from(tempPrefix(runId));
  const folders = [Buffer.from(fsPath(outputRoot))];
  const left: { path: string; reason: string }[] = [];
  let removed = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    // Names are read as bytes: those that are not UTF-8 would not be found again.
    for await (const entry of await opendir(pathFromBytes(folder), { encoding: "latin1" as BufferEncoding })) {
      const name = Buffer.from(entry.name, "latin1");
      const path = Buffer.concat([folder, Buffer.from("/"), name]);
      if (name.subarray(0, prefix.length).equals(prefix)) {
        const reason = await removeTemp(path);
        if (reason === null) removed += 1;
        else left.push({ path: pathFromBytes(path), reason });
      } else if (entry.isDirectory()) folders.push(path);
    }
  }
  return { removed, left };
}
