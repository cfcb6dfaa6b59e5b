/** Makes a folder and those above it. */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes what is missing of this path, for its owner alone. Step by step, because Node's own recursive mkdir never
 * returns where the kernel says ENOENT below a folder that is there, as /proc does.
 */
export function makeFolders(path: string): void {
  if (existsSync(path)) return;
  makeFolders(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process made it in between.
    if (!existsSync(path)) throw error;
  }
}
