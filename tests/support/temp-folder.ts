/** A folder that is removed with the scope that holds it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TempFolder extends Disposable {
  readonly path: string;
}

export function makeTempFolder(): TempFolder {
  const path = mkdtempSync(join(tmpdir(), "hr-"));
  return {
    path,
    [Symbol.dispose]() {
      rmSync(path, { recursive: true, force: true });
    },
  };
}
