/** Makes a folder and those above it. */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes what is missing of this path, for its owner alone if nothing else is said. Step by step, because Node's own recursive mkdir never
 * returns where the kernel says ENOENT below a folder that is there, as /proc does.
 */
export function makeFolders(path: string, mode = 0o700): void {
  if (existsSync(path)) return;
  makeFolders(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another process made it in between.
    if (!existsSync(path)) throw error;
  }
}
