/** What starts and stops. Constructors only assign; `start` acquires, `stop` releases; both may be called twice. */

export interface Service {
  start(): Promise<void>;
  /** Resolves when everything is released. Work still going on at the deadline is abandoned and named in the error. */
  stop(deadline?: AbortSignal): Promise<void>;
}

/** Starts its services from left to right and stops them from right to left, trying every one. */
export class ServiceGroup implements Service, AsyncDisposable {
  readonly #services: readonly Service[];
  readonly #stopMs: number;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #started: Service[] = [];

  constructor(services: readonly Service[], stopMs = 30_000) {
    this.#services = services;
    this.#stopMs = stopMs;
  }

  start(): Promise<void> {
    this.#starting ??= this.#startAll();
    return this.#starting;
  }

  stop(deadline?: AbortSignal): Promise<void> {
    // A second caller waits for the same end.
    this.#stopping ??= this.#stopAll(deadline ?? AbortSignal.timeout(this.#stopMs));
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #startAll(): Promise<void> {
    for (const service of this.#services) {
      this.#started.push(service);
      try {
        await service.start();
      } catch (error) {
        // What did start must not be left running behind a failed start; the first error is the one that matters.
        await this.stop().catch((stopError: unknown) => {
          throw new AggregateError([error, stopError], "a service failed to start, and others failed to stop after it");
        });
        throw error;
      }
    }
  }

  async #stopAll(deadline: AbortSignal): Promise<void> {
    const errors: unknown[] = [];
    for (const service of this.#started.toReversed()) {
      // A service that fails to stop must not keep the others alive.
      await service.stop(deadline).catch((error: unknown) => errors.push(error));
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, "some services did not stop cleanly");
  }
}
