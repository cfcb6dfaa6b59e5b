/** How a process lives: starts, waits for a signal, stops, exits. The one place that handles signals. */
import { exitCodes, HeadroomError } from "../contract/errors.ts";
import type { Service } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";

/** Each signal, and what a shell shows for a process that it ended. */
const signals = { SIGTERM: 143, SIGINT: 130 } as const;

/** A service that ignores its deadline is abandoned this long after it. */
const GRACE_MS = 2_000;

/**
 * Starts the group and stops it at SIGTERM or SIGINT; then the process exits: 0 when all stopped cleanly, 1 when work
 * was left behind at the deadline or an error came up that nobody caught, the error's own code when the start failed.
 * A second signal exits at once. Never returns.
 */
export async function runUntilSignal(
  group: Service,
  logger: Logger,
  { stopMs = 30_000 }: { stopMs?: number } = {},
): Promise<never> {
  const end = watchForEnd(logger);
  const started = group.start().then(
    () => {
      logger.info({}, "started");
      return end.reached;
    },
    (err: unknown) => {
      logger.error({ err }, "start failed");
      return err instanceof HeadroomError ? err.exitCode : exitCodes.someFailed;
    },
  );
  // A signal during a long start ends it too: stop releases what is there by then.
  const exitCode = await Promise.race([end.reached, started]);
  const isClean = await stopWithin(group, stopMs, logger);
  process.exit(isClean && !end.hasError() ? exitCode : exitCode || exitCodes.someFailed);
}

interface End {
  /** Resolves at the first signal, or the first error that nobody caught, with the exit code of a clean stop. */
  readonly reached: Promise<number>;
  hasError(): boolean;
}

function watchForEnd(logger: Logger): End {
  let hasError = false;
  let isStopping = false;
  const reached = new Promise<number>((resolve) => {
    for (const [signal, exitCode] of Object.entries(signals)) {
      process.on(signal, () => {
        if (isStopping) {
          logger.warn({ signal }, "second signal: exiting at once");
          process.exit(exitCode);
        }
        isStopping = true;
        logger.info({ signal }, "stopping");
        resolve(exitCodes.ok);
      });
    }
    for (const kind of ["uncaughtException", "unhandledRejection"] as const) {
      process.on(kind, (err: unknown) => {
        hasError = true;
        logger.error({ err, kind }, "error that nobody caught: stopping");
        resolve(exitCodes.someFailed);
      });
    }
  });
  return { reached, hasError: () => hasError };
}

/** Whether everything stopped, with nothing left behind, by the deadline. */
async function stopWithin(group: Service, stopMs: number, logger: Logger): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const abandoned = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      logger.error({ stopMs }, "services did not stop by their deadline: abandoned");
      resolve(false);
    }, stopMs + GRACE_MS);
  });
  const stopped = group.stop(AbortSignal.timeout(stopMs)).then(
    () => {
      logger.info({}, "stopped");
      return true;
    },
    (err: unknown) => {
      logger.error({ err }, "stopped with work left behind");
      return false;
    },
  );
  const isClean = await Promise.race([stopped, abandoned]);
  clearTimeout(timer);
  return isClean;
}
