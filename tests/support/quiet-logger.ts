/** Loggers for tests. */
import { createLogger, type Logger } from "../../src/platform/logger.ts";

/** Says nothing. */
export const quietLogger: Logger = createLogger("silent", {});

/** Keeps each line as the object that was logged. */
export function keepingLogger(): { logger: Logger; lines: () => Record<string, unknown>[] } {
  const texts: string[] = [];
  const logger = createLogger("debug", {}, { write: (text: string) => texts.push(text) });
  return { logger, lines: () => texts.map((text) => JSON.parse(text) as Record<string, unknown>) };
}
