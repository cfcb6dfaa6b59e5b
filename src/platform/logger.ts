/** JSON lines with the trace id of the work at hand. */
import { pino, type DestinationStream } from "pino";
import { currentTraceId } from "./trace.ts";

/** What code logs through: constant text, data in fields, errors under `err`. */
export interface Logger {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
  child(bindings: Record<string, unknown>): Logger;
}

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Opens a logger; without a destination it writes to standard error, so that standard output stays for results. */
export function createLogger(
  level: LogLevel,
  bindings: Record<string, unknown>,
  destination?: DestinationStream,
): Logger {
  return pino(
    {
      level,
      base: bindings,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: () => {
        const traceId = currentTraceId();
        return traceId === undefined ? {} : { traceId };
      },
      redact: [
        "redisUrl",
        "storeUrl",
        "password",
        "*.password",
        "authorization",
        "headers.authorization",
        "headers.cookie",
      ],
    },
    destination ?? standardError(),
  );
}

/** Nobody stops for lines that cannot be written: the disk that they go to may be full. */
function standardError(): DestinationStream {
  const stream = pino.destination({ dest: 2, sync: true });
  stream.on("error", () => undefined);
  return stream;
}
