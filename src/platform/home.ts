/** The data folder: everything of an embedded set-up lies below it. */
import { mkdtempSync, rmdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { InvalidInputError, messageOf } from "../contract/errors.ts";
import { resolveFrom } from "./current-folder.ts";
import { makeFolders } from "./make-folders.ts";

export interface HomeSources {
  /** The value of `--home`, when it was given. */
  readonly home?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface NamedPath {
  readonly path: string;
  /** Which source named it, as the user would write it. */
  readonly where: string;
}

/** The data folder: `--home`, else HEADROOM_HOME, else XDG_DATA_HOME/headroom, else ~/.local/share/headroom. */
export function resolveHome(sources: HomeSources): string {
  return findHome(sources).path;
}

/**
 * Resolves the data folder as `resolveHome` does and makes it, for its owner alone, when it is not there.
 * @throws {InvalidInputError} when it is not a folder, or cannot be made, read and written.
 */
export function openHome(sources: HomeSources): string {
  const { path, where } = findHome(sources);
  const fault = (found: string, cause?: unknown) =>
    new InvalidInputError("data folder", [{ where, expected: `a folder at ${path} that can be written`, found }], {
      cause,
    });
  try {
    makeFolders(path);
  } catch (error) {
    throw fault(isNotFolder(error) ? "something that is not a folder" : messageOf(error), error);
  }
  if (!statSync(path).isDirectory()) throw fault("something that is not a folder");
  try {
    // Only a real write tells of read-only mounts, access rules and full disks.
    rmdirSync(mkdtempSync(join(path, ".probe-")));
  } catch (error) {
    throw fault(messageOf(error), error);
  }
  return path;
}

function findHome({ home, env }: HomeSources): NamedPath {
  if (home !== undefined) return named("--home", home);
  const fromEnvironment = env["HEADROOM_HOME"];
  if (fromEnvironment !== undefined) return named("HEADROOM_HOME", fromEnvironment);
  const xdg = env["XDG_DATA_HOME"];
  // The XDG rules say that a relative or empty path is to be ignored.
  if (xdg !== undefined && isAbsolute(xdg)) return { path: join(xdg, "headroom"), where: "XDG_DATA_HOME" };
  return { path: join(homedir(), ".local", "share", "headroom"), where: "default data folder" };
}

function named(where: string, value: string): NamedPath {
  if (value.trim() === "" || value.includes("\0")) {
    throw new InvalidInputError("data folder", [
      { where, expected: "the path of a folder", found: JSON.stringify(value) },
    ]);
  }
  return { path: resolveFrom(process.cwd(), value), where };
}

function isNotFolder(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EEXIST" || code === "ENOTDIR";
}
