/** Takes the file that an agent left in the folder that it worked in, so that it can be published as any output is. */
import { createWriteStream } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { InvalidInputError, PathEscapeError } from "../../contract/errors.ts";
import { fsPath, printablePath } from "../../contract/path-bytes.ts";
import { openConfined } from "../../platform/confined-path.ts";
import { errnoOf } from "../result/errno.ts";
import { isFullErrno, type Failure } from "../result/outcome.ts";

export interface LeftFile {
  /** Where its process worked, absolute. */
  readonly folder: string;
  /** Relative to the folder. */
  readonly file: string;
  /** What it is copied to; nothing is there yet. */
  readonly temp: string;
  readonly maxBytes: number;
}

/** Copies it; why it is no output, or null. */
export async function takeLeftFile(left: LeftFile): Promise<Failure | null> {
  let handle: FileHandle;
  try {
    handle = await openConfined(left.folder, left.file);
  } catch (error) {
    return cannotTake(left, error);
  }
  try {
    const { size } = await handle.stat();
    if (size > left.maxBytes) return badOutput(`a file of at most ${left.maxBytes} bytes`, `${size}`, left);
    // One that still grows is cut one byte past the limit, which whoever examines it finds.
    const source = handle.createReadStream({ autoClose: false, end: left.maxBytes });
    await pipeline(source, createWriteStream(fsPath(left.temp), { flags: "wx" }));
    return null;
  } catch (error) {
    const errno = errnoOf(error);
    const isDiskFull = isFullErrno(errno);
    return {
      class: "infrastructure",
      message: `could not copy the output: ${errno}`,
      ...(isDiskFull && { isDiskFull }),
    };
  } finally {
    await handle.close();
  }
}

const foundBy: Readonly<Record<string, string>> = {
  ENOENT: "nothing",
  ENOTDIR: "a path through a file",
  ELOOP: "links that lead to one another",
  EACCES: "no permission to read it",
  ENXIO: "something else",
};

function cannotTake(left: LeftFile, error: unknown): Failure {
  if (error instanceof PathEscapeError) {
    const { message } = badOutput("a file inside the folder that it works in", "a link that leads out of it", left);
    return { class: "policy", message };
  }
  if (error instanceof InvalidInputError) return badOutput("a regular file", "something else", left);
  const errno = errnoOf(error);
  const found = foundBy[errno];
  if (found !== undefined) return badOutput("the agent to leave a file", found, left);
  return { class: "infrastructure", message: `could not read the output: ${errno}` };
}

function badOutput(expected: string, found: string, { file }: LeftFile): Failure {
  const at = JSON.stringify(printablePath(file));
  return { class: "bad-output", message: `output.file: expected ${expected}, found ${found} at ${at}` };
}
