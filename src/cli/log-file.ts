/** The log of commands that have a person in front of them: JSON lines in `<home>/logs/headroom.log`, not on the terminal. */
import { mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { destination } from "pino";
import { MiB } from "../contract/resources.ts";
import { createLogger, type LogLevel, type Logger } from "../platform/logger.ts";

/** A log larger than this becomes `headroom.log.1`, in place of the one before. */
const ROTATE_BYTES = 16 * MiB;

export interface LogFile {
  readonly path: string;
  readonly logger: Logger;
  /** Writes out what is still in memory. */
  flush(): void;
}

export function openLogFile(home: string, level: LogLevel, bindings: Record<string, unknown>): LogFile {
  const folder = join(home, "logs");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, "headroom.log");
  rotate(path);
  // Whole lines are appended, so several commands may share the file.
  const stream = destination({ dest: path, append: true, sync: true, mode: 0o600 });
  return {
    path,
    logger: createLogger(level, { ...bindings, processId: process.pid }, stream),
    flush: () => {
      stream.flushSync();
    },
  };
}

function rotate(path: string): void {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > ROTATE_BYTES) renameSync(path, `${path}.1`);
}
