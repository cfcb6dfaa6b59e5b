/** Whether the disk of an output folder has room. */
import { statfsSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import type { FileEntry, FileResult } from "../../contract/files.ts";
import { fsPath } from "../../contract/path-bytes.ts";

/** The end of an attempt, and what of its failure decides when the file is tried again. */
export type AttemptResult = FileResult & {
  /** The disk was full when its output had so many bytes. */
  readonly roomBytes?: number;
  /** This worker does not have it. */
  readonly missingBinary?: string;
};

export interface Shortage {
  readonly freeBytes: number;
  /** More than this has to be free. */
  readonly needBytes: number;
}

/** Whether nothing at all can be written there. For threads. */
export function isFull(folder: string): boolean {
  try {
    const { bavail, blocks } = statfsSync(fsPath(folder));
    // File systems without a size (some network ones) say 0 of 0.
    return blocks > 0 && bavail === 0;
  } catch {
    return false; // No answer is no evidence.
  }
}

/** How much an unfinished output has taken up; 0 when there is none. For threads. */
export function takenBytes(path: string): number {
  try {
    return statSync(fsPath(path)).size;
  } catch {
    return 0; // The command had not begun to write it.
  }
}

/** What the folder's disk lacks for these files; undefined when it has room, or does not say. */
export async function findShortage(folder: string, files: readonly FileEntry[]): Promise<Shortage | undefined> {
  const needBytes = Math.max(0, ...files.map((file) => file.roomBytes ?? 0));
  try {
    const { bavail, bsize, blocks } = await statfs(fsPath(folder));
    const freeBytes = bavail * bsize;
    return blocks > 0 && freeBytes <= needBytes ? { freeBytes, needBytes } : undefined;
  } catch {
    return undefined; // Not there yet, or without an answer: the outputs themselves will tell.
  }
}
