/** Makes a folder and those above it. */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes what is missing of this path, for its owner alone if nothing else is said. Step by step, because Node's own recursive mkdir never
 * returns where the kernel says ENOENT below a folder that is there, as /proc does.
 */
export function makeFolders(path: string, mode = 0o700): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return;
  if (found === undefined) makeFolders(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another process made it in between.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}
