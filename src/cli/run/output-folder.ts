/** Makes the folder for outputs and proves that it can be written, before anything is started. */
import { mkdtempSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { InfrastructureError, InvalidInputError, messageOf } from "../../contract/errors.ts";
import { TEMPORARY_PREFIX } from "../../contract/output-names.ts";
import { realPathOf } from "../../platform/confined-path.ts";
import { makeFolders } from "../../platform/make-folders.ts";

/** Codes that are the machine's fault, not the user's. */
const machineCodes: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE"]);

/**
 * Makes the folder when it is not there; its path without links.
 * @throws {InvalidInputError} when it is something else, or may not be written.
 * @throws {InfrastructureError} when the disk is full or does not answer.
 */
export function openOutputFolder(path: string, where: string): string {
  const fault = (found: string, cause: unknown) =>
    new InvalidInputError("run", [{ where, expected: `a folder at ${path} that can be written`, found }], { cause });
  try {
    makeFolders(path, 0o777);
    if (!statSync(path).isDirectory()) throw fault("something that is not a folder", undefined);
    // The access bits say nothing about a full or read-only disk: try it.
    rmdirSync(mkdtempSync(join(path, `${TEMPORARY_PREFIX}probe-`)));
    return realPathOf(path);
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (machineCodes.has(code)) {
      throw new InfrastructureError(`${where}: expected to write to ${path}, found ${messageOf(error)}`, {
        cause: error,
      });
    }
    const isFile = code === "EEXIST" || code === "ENOTDIR";
    throw fault(isFile ? "something that is not a folder" : messageOf(error), error);
  }
}
