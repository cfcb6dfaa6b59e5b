/** A folder of its own for a test, removed at the end. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export class Scratch implements Disposable {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), "headroom-test-")));

  /** Writes a file with this many bytes, and the folders above it; its absolute path. */
  file(path: string, content: string | Buffer | number = 0): string {
    const absolute = join(this.path, path);
    mkdirSync(dirname(absolute), { recursive: true });
    writeFileSync(absolute, typeof content === "number" ? "x".repeat(content) : content);
    return absolute;
  }

  folder(path: string): string {
    const absolute = join(this.path, path);
    mkdirSync(absolute, { recursive: true });
    return absolute;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
