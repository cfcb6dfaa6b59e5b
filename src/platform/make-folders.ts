/** Makes a folder and those above it, and tells what is in the way. */
import { mkdirSync, statSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { isInside } from "../contract/inside.ts";
import { fsPath, printablePath } from "../contract/path-bytes.ts";

type Raw = string | Buffer;

/**
 * Makes what is missing of this path, for its owner alone if nothing else is said. Step by step, because Node's own recursive mkdir never
 * returns where the kernel says ENOENT below a folder that is there, as /proc does.
 */
export function makeFolders(path: string, mode = 0o700): void {
  const raw = fsPath(path);
  const found = isFolderSync(raw);
  if (found === true) return;
  if (found === undefined) makeFolders(dirname(path), mode);
  try {
    mkdirSync(raw, { mode });
  } catch (error) {
    // Another process made it in between.
    if (isFolderSync(raw) !== true) throw error;
  }
}

/** The same without holding the thread while the disk does not answer. */
export async function makeFoldersAsync(path: string, mode = 0o700): Promise<void> {
  const raw = fsPath(path);
  const found = await isFolder(raw);
  if (found === true) return;
  if (found === undefined) await makeFoldersAsync(dirname(path), mode);
  try {
    await mkdir(raw, { mode });
  } catch (error) {
    if ((await isFolder(raw)) !== true) throw error;
  }
}

/** Something that is no folder is there, or the system knows no such place: not for now, as where a disk is full. */
const lasting: ReadonlySet<string | undefined> = new Set(["EEXIST", "ENOTDIR", "ENOENT", "ELOOP", "ENAMETOOLONG"]);

/** Why a folder can never be made, by the error of making it; undefined for what may pass, or is about another path. */
export function obstacleTo(folder: string, error: unknown): string | undefined {
  const { code, path } = error as NodeJS.ErrnoException;
  if (!lasting.has(code) || path === undefined || !isInside(path, fsPath(folder).toString())) return undefined;
  const isTaken = code === "EEXIST" || code === "ENOTDIR";
  return `${isTaken ? "something that is not a folder" : (code ?? "")} at ${printablePath(path)}`;
}

/** Undefined when nothing is there. */
function isFolderSync(raw: Raw): boolean | undefined {
  try {
    return statSync(raw).isDirectory();
  } catch (error) {
    if (!isNothing(error)) throw error;
    return undefined;
  }
}

async function isFolder(raw: Raw): Promise<boolean | undefined> {
  try {
    return (await stat(raw)).isDirectory();
  } catch (error) {
    if (!isNothing(error)) throw error;
    return undefined;
  }
}

function isNothing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}
