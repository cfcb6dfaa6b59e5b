/** Whether a file is still the one that was looked at. */
import { statSync, type Stats } from "node:fs";
import { fsPath } from "../../contract/path-bytes.ts";
import type { Failure } from "../result/outcome.ts";

export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
}

export function identityOf({ dev, ino, size, mtimeMs }: Stats): FileIdentity {
  return { dev, ino, size, mtimeMs };
}

/** Why the file at `path` is not the one it was, or null when it is. */
export function changeOf(path: string, before: FileIdentity): Failure | null {
  const now = statSync(fsPath(path), { throwIfNoEntry: false });
  if (now === undefined) {
    return { class: "bad-input", message: "expected the input to stay until its process ended, found it gone" };
  }
  const isSame =
    now.ino === before.ino && now.size === before.size && now.mtimeMs === before.mtimeMs && now.dev === before.dev;
  return isSame
    ? null
    : { class: "bad-input", message: "expected the input to stay as it was, found it changed while its process ran" };
}
