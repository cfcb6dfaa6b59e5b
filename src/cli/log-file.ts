/** The log of commands that have a person in front of them: JSON lines in `<home>/logs/headroom.log`, not on the terminal. */
import { renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { destination } from "pino";
import { messageOf } from "../contract/errors.ts";
import { MiB } from "../contract/resources.ts";
import { createLogger, type LogLevel, type Logger } from "../platform/logger.ts";
import { makeFolders } from "../platform/make-folders.ts";

/** A log larger than this becomes `headroom.log.1`, in place of the one before. */
const ROTATE_BYTES = 16 * MiB;
/** Lines that wait for room on a full disk; what comes after them is dropped. */
const KEPT_BYTES = MiB;

export interface LogFile {
  readonly path: string;
  readonly logger: Logger;
  /** Writes out what is still in memory, as far as the disk takes it. */
  flush(): void;
}

/** What goes wrong with the log is no reason to end the work: it is told once, in `onFailure`. */

export function openLogFile(
  home: string,
  level: LogLevel,
  bindings: Record<string, unknown>,
  onFailure: (text: string) => void = writeToStderr,
): LogFile {
  const folder = join(home, "logs");
  makeFolders(folder);
  const path = join(folder, "headroom.log");
  rotate(path);
  // Whole lines are appended, so several commands may share the file.
  const stream = destination({ dest: path, append: true, sync: true, mode: 0o600, maxLength: KEPT_BYTES });
  let isTold = false;
  const tell = (error: unknown): void => {
    if (isTold) return;
    isTold = true;
    onFailure(`headroom: expected the log ${path} to take lines, found ${messageOf(error)}\n`);
  };
  stream.on("error", tell);
  return {
    path,
    logger: createLogger(level, { ...bindings, processId: process.pid }, stream),
    flush: () => {
      try {
        stream.flushSync();
      } catch (error) {
        tell(error);
      }
    },
  };
}

function writeToStderr(text: string): void {
  process.stderr.write(text);
}

function rotate(path: string): void {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > ROTATE_BYTES) renameSync(path, `${path}.1`);
}
