/** What a relative path is relative to. */
import { existsSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { InvalidInputError } from "../contract/errors.ts";

/** Whether the path of this folder has bytes that Node does not tell, so that paths relative to it would lead elsewhere. */
export function isUndecoded(cwd: string): boolean {
  return cwd.includes("\ufffd") && !existsSync(cwd);
}

/**
 * The absolute form of a path that a person wrote.
 * @throws {InvalidInputError} where the current folder has bytes that Node does not tell, so that the path would lead elsewhere
 */
export function resolveFrom(cwd: string, path: string): string {
  if (!isAbsolute(path) && isUndecoded(cwd)) {
    const expected = "a path in UTF-8, or paths that are not relative to it";
    throw new InvalidInputError("command line", [{ where: "current folder", expected, found: JSON.stringify(cwd) }]);
  }
  return resolve(cwd, path);
}
