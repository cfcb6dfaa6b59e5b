/** Drains this worker when somebody asks the cluster for it (`headroom drain`), and lets it go on when that is taken back. */
import { messageOf } from "../contract/errors.ts";
import { loadDrainRequests, type DrainRequest, type DrainRequestsDeps } from "../platform/drain-requests.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Drain } from "./drain.ts";

export interface DrainWatchDeps extends DrainRequestsDeps {
  readonly drain: Pick<Drain, "begin" | "undo">;
  readonly worker: { readonly workerId: string; readonly host: string };
  /** The worker's own time for what runs. */
  readonly graceMs: number;
}

export class DrainWatch implements Service {
  readonly #deps: DrainWatchDeps;
  #isAsked = false;
  #isStopped = false;
  #reading: Promise<void> = Promise.resolve();

  constructor(deps: DrainWatchDeps) {
    this.#deps = deps;
  }

  start(): Promise<void> {
    return this.refresh();
  }

  /** What is read after that changes nothing. Not waited for: Redis may be away. */
  stop(): Promise<void> {
    this.#isStopped = true;
    return Promise.resolve();
  }

  /** Reads what is asked for. One at a time; a failure keeps what counts now. */
  refresh(): Promise<void> {
    this.#reading = this.#reading
      .then(() => this.#apply())
      .catch((error: unknown) => {
        this.#deps.logger.warn({ err: error, reason: messageOf(error) }, "drain requests could not be read");
      });
    return this.#reading;
  }

  async #apply(): Promise<void> {
    const { drain, worker, graceMs, logger } = this.#deps;
    const asked = await loadDrainRequests(this.#deps);
    if (this.#isStopped) return;
    const request: DrainRequest | undefined = asked.get(worker.workerId) ?? asked.get(worker.host);
    if (request !== undefined && !this.#isAsked) {
      logger.info({ graceMs: request.graceMs ?? graceMs }, "asked to drain");
      // Told by its progress; nobody waits here for the end.
      void drain.begin(request.graceMs ?? graceMs);
    }
    // What another way began, such as a signal, is not for us to undo.
    if (request === undefined && this.#isAsked) drain.undo();
    this.#isAsked = request !== undefined;
  }
}
