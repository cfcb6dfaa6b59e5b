/** Keeps what was found of kinds that mostly wait beyond this process: the next worker of this machine begins near it. */
import type { Redis } from "ioredis";
import { messageOf } from "../contract/errors.ts";
import { loadClassLimits, saveClassLimits } from "../platform/learned/class-limit-store.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { ClassLimits } from "./governor/class-limits.ts";

const SAVE_MS = 10_000;

export interface ClassLimitMemoryDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly logger: Logger;
  /** The machine: its disks and its way to the servers are what limits such jobs. */
  readonly host: string;
  readonly limits: Pick<ClassLimits, "found" | "recall">;
}

export class ClassLimitMemory implements Service {
  readonly #deps: ClassLimitMemoryDeps;
  readonly #saved = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(deps: ClassLimitMemoryDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.save(), SAVE_MS);
    const { redis, kp, host, limits } = this.#deps;
    for (const known of await loadClassLimits(redis, kp, host)) {
      limits.recall(known);
      this.#saved.set(known.kind, known.limit);
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.save();
  }

  /** Writes the numbers that have changed; no command when none has. */
  save(): Promise<void> {
    this.#saving = this.#saving
      .then(() => this.#save())
      .catch((error: unknown) => {
        this.#deps.logger.warn({ err: error, reason: messageOf(error) }, "class limits could not be kept");
      });
    return this.#saving;
  }

  async #save(): Promise<void> {
    const { redis, kp, host, limits } = this.#deps;
    const found = limits.found.filter(({ kind, limit }) => this.#saved.get(kind) !== limit);
    await saveClassLimits(redis, kp, { host, found });
    for (const { kind, limit } of found) this.#saved.set(kind, limit);
  }
}
