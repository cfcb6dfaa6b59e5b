/** Paths that stay inside a folder, whatever their parts and the symbolic links on the way say. */
import { constants, readlinkSync, realpathSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InvalidInputError, PathEscapeError } from "../contract/errors.ts";
import { isInside } from "../contract/inside.ts";
import { fsPath, pathFromBytes, printablePath } from "../contract/path-bytes.ts";

/**
 * The absolute path of `relative` below `root`. Links on the way are allowed as long as they stay inside; a part that is
 * not there yet is too. The answer is true for the moment of the call: `openConfined` has no such gap.
 * @throws {PathEscapeError} for `..`, absolute paths, NUL bytes and links that leave the root.
 */
export function resolveConfined(root: string, relative: string): string {
  if (!isRelativeInside(relative)) throw new PathEscapeError(printablePath(root), printablePath(relative));
  const path = join(root, relative);
  if (!isInside(realPathOf(root), realPathOf(path))) {
    throw new PathEscapeError(printablePath(root), printablePath(relative));
  }
  return path;
}

/**
 * Opens a regular file below `root` for reading; what was opened is what is checked, so a link that is swapped in between
 * gains nothing. The caller closes. @throws {PathEscapeError} @throws {InvalidInputError} when it is no regular file.
 */
export async function openConfined(root: string, relative: string): Promise<FileHandle> {
  const path = resolveConfined(root, relative);
  // Without O_NONBLOCK a FIFO would hold a thread of the pool until somebody writes to it.
  const handle = await open(fsPath(path), constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      throw new InvalidInputError("path", [
        { where: printablePath(relative), expected: "a regular file", found: stat.isDirectory() ? "a folder" : "none" },
      ]);
    }
    if (!isInside(realPathOf(root), openedPath(handle.fd) ?? realPathOf(path))) {
      throw new PathEscapeError(printablePath(root), printablePath(relative));
    }
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The path without links; of its missing tail, if any, the text. */
export function realPathOf(path: string): string {
  const absolute = resolve(path);
  try {
    return pathFromBytes(realpathSync.native(fsPath(absolute), { encoding: "buffer" }));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    // A dangling link is not "missing": what is written through it would land at its target.
    const parent = dirname(absolute);
    if (code !== "ENOENT" || parent === absolute) throw error;
    const target = linkTarget(absolute);
    const realParent = realPathOf(parent);
    // Relative to where the link really is, as the kernel takes it.
    if (target !== undefined) return realPathOf(resolve(realParent, target));
    return join(realParent, absolute.slice(parent.length).replace(/^\/+/, ""));
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return pathFromBytes(readlinkSync(fsPath(path), { encoding: "buffer" }));
  } catch {
    // Not a link, or not there: the ordinary case of a file that is yet to be written.
    return undefined;
  }
}

/** Where the kernel says an open file is; undefined on systems without /proc. */
export function openedPath(fd: number): string | undefined {
  try {
    return pathFromBytes(readlinkSync(`/proc/self/fd/${fd}`, { encoding: "buffer" }));
  } catch {
    // No /proc: the caller falls back to the path itself.
    return undefined;
  }
}

/** Whether the text names something below a folder: not empty, not absolute, no NUL, no `..` part. */
export function isRelativeInside(path: string): boolean {
  if (path === "" || path.startsWith("/") || path.includes("\0")) return false;
  return !path.includes("..") || !path.split("/").includes("..");
}
