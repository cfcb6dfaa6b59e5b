/** What clients send to a Redis, as MONITOR shows it, and apart from that what scripts call inside it. */
import type { Redis } from "ioredis";

export interface SentCommand {
  readonly name: string;
  readonly args: readonly string[];
  /** Address of the connection that sent it. */
  readonly source: string;
}

export class CommandMonitor implements AsyncDisposable {
  readonly sent: SentCommand[] = [];
  readonly calledByScripts: SentCommand[] = [];
  readonly #monitor: Redis;
  readonly #listeners = new Set<(command: SentCommand) => void>();

  static async open(redis: Redis): Promise<CommandMonitor> {
    return new CommandMonitor(await redis.monitor());
  }

  private constructor(monitor: Redis) {
    this.#monitor = monitor;
    // The driver's own types say `any` of what it tells.
    monitor.on("monitor", (_time: string, [name = "", ...args]: string[], source: string) => {
      const command = { name: name.toLowerCase(), args, source };
      if (source === "lua") {
        this.calledByScripts.push(command);
        return;
      }
      this.sent.push(command);
      for (const listener of this.#listeners) listener(command);
    });
  }

  /** Resolves with the first command from now on that is so. */
  next(isMeant: (command: SentCommand) => boolean): Promise<SentCommand> {
    return new Promise((resolve) => {
      const listener = (command: SentCommand): void => {
        if (!isMeant(command)) return;
        this.#listeners.delete(listener);
        resolve(command);
      };
      this.#listeners.add(listener);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      this.#monitor.once("end", resolve);
      this.#monitor.disconnect();
    });
  }
}
