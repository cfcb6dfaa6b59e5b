/** A disk of few bytes, for tests of what happens when one is full. Mounting one needs the rights to. */
import { execFileSync } from "node:child_process";

export const canMount = process.getuid?.() === 0;

export interface SmallDisk extends Disposable {
  /** Makes it larger while it is in use. */
  grow(bytes: number): void;
}

/** A disk of this many bytes at `folder`, until it is disposed. */
export function smallDisk(folder: string, bytes: number): SmallDisk {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder]);
  return {
    grow: (more) => {
      execFileSync("mount", ["-o", `remount,size=${more}`, folder]);
    },
    [Symbol.dispose]: () => {
      execFileSync("umount", ["--lazy", folder]);
    },
  };
}
