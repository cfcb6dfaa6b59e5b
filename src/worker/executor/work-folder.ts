/** Whether a process can work in the folder that its node names. */
import { accessSync, constants, statSync } from "node:fs";
import { isInside } from "../../contract/inside.ts";
import { fsPath, printablePath } from "../../contract/path-bytes.ts";
import type { RunSpec } from "../../contract/run-spec.ts";
import { realPathOf } from "../../platform/confined-path.ts";
import { errnoOf } from "../result/errno.ts";
import type { Failure } from "../result/outcome.ts";

/** A folder that is there already, absolute. */
export type WorkFolder = NonNullable<RunSpec["folder"]>;

/** What the kernel shows of processes and devices: it would be seen through the sandbox. */
const ofKernel = ["/proc", "/sys", "/dev"] as const;

/** What the faults are that no other attempt mends. */
const foundBy: Readonly<Record<string, string>> = {
  ENOENT: "nothing",
  ENOTDIR: "a path through a file",
  ELOOP: "links that lead to one another",
  EACCES: "no permission",
  EPERM: "no permission",
  EROFS: "a read-only file system",
};

/** Why no process is started there; null: one may be. */
export function workFolderFailure({ path, writable }: WorkFolder): Failure | null {
  const expected = `expected a folder to work in${writable ? " and to write to" : ""}`;
  const shown = `at ${JSON.stringify(printablePath(path))}`;
  try {
    const real = realPathOf(path);
    if (real === "/" || ofKernel.some((root) => isInside(root, real))) {
      const message = `folder.path: ${expected}, found the root folder or one of the kernel ${shown}`;
      return { class: "policy", message };
    }
    if (!statSync(fsPath(path)).isDirectory())
      return { class: "bad-input", message: `folder.path: ${expected}, found a file ${shown}` };
    accessSync(fsPath(path), constants.R_OK | constants.X_OK | (writable ? constants.W_OK : 0));
    return null;
  } catch (error) {
    const errno = errnoOf(error);
    const found = foundBy[errno];
    const message = `folder.path: ${expected}, found ${found ?? errno} ${shown}`;
    return { class: found === undefined ? "infrastructure" : "bad-input", message };
  }
}
