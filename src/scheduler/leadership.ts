/**
 * Who of the schedulers leads. Standby, it asks for the lease again and again; leading, it renews it, in a loop of its own,
 * so that a long round never costs it the lead. A leader that stops gives the lease back, one that dies is followed within
 * `LEASE_MS` and a second.
 */
import type { Redis } from "ioredis";
import { messageOf } from "../contract/errors.ts";
import type { Clock } from "../platform/clock.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import { LeaderLease } from "./leader-lease.ts";
import { openTerm, type Term } from "./term.ts";

export interface LeadershipDeps {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface LeadershipConfig {
  readonly kp: string;
  readonly schedulerId: string;
  /** Gives the lead to any scheduler that does not yield. */
  readonly yields: boolean;
}

/** A dead leader is followed after this and one renewal: well within ten seconds. */
const LEASE_MS = 6_000;
const RENEW_MS = 1_000;

export class Leadership implements Service {
  readonly #deps: LeadershipDeps;
  readonly #config: LeadershipConfig;
  readonly #lease: LeaderLease;
  readonly #stop = new AbortController();
  readonly #onLead: (term: Term) => void;
  #term: Term | undefined;
  /** Since when no call for the lease was answered, and what was said to the last one. */
  #refused: { readonly sinceMs: number; readonly message: string } | undefined;
  #loop: Promise<void> | undefined;

  constructor(deps: LeadershipDeps, config: LeadershipConfig, onLead: (term: Term) => void) {
    this.#deps = deps;
    this.#config = config;
    this.#onLead = onLead;
    this.#lease = new LeaderLease(deps.redis, config.kp, {
      ...{ holder: config.schedulerId, ttlMs: LEASE_MS, yields: config.yields },
    });
    deps.metrics.onCollect(() => {
      deps.metrics.gauge("headroom_leader").set(this.term === undefined ? 0 : 1);
    });
  }

  /** The term of this scheduler, while it leads. */
  get term(): Term | undefined {
    return this.#term?.holds === true ? this.#term : undefined;
  }

  /** Why this scheduler could not lead though nobody else does: no call for the lease went through for as long as one lasts. */
  get fault(): string | undefined {
    const refused = this.#refused;
    return refused !== undefined && this.#deps.clock.monotonicMs() - refused.sinceMs >= LEASE_MS
      ? refused.message
      : undefined;
  }

  /** Does not wait for the lead: what needs it is told by `onLead`. */
  start(): Promise<void> {
    this.#loop ??= this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    const term = this.#term;
    this.#term = undefined;
    if (term === undefined) return;
    await term.close();
    await this.#lease.release(term.token).catch((error: unknown) => {
      this.#deps.logger.warn({ err: error }, "lease not given back, it runs out by itself");
    });
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    while (!this.#stop.signal.aborted) {
      await this.#renew();
      // Woken by stop: the loop's condition ends it.
      await clock.sleep(RENEW_MS, this.#stop.signal).catch(() => undefined);
    }
  }

  async #renew(): Promise<void> {
    const { clock, logger } = this.#deps;
    // From before the call: the lease may have been renewed as soon as it was sent.
    const untilMs = clock.monotonicMs() + LEASE_MS;
    try {
      // A term whose connection broke is over, and nobody is to wait for its lease.
      if (this.#term?.over.aborted === true) await this.#lease.release(this.#term.token);
      const taken = await this.#lease.take(this.#term?.token);
      if (taken.kind === "held") this.#term?.renew(untilMs);
      else await this.#change(taken.kind === "taken" ? taken.token : undefined, untilMs);
      this.#refused = undefined;
    } catch (error) {
      this.#refused = { sinceMs: this.#refused?.sinceMs ?? clock.monotonicMs(), message: messageOf(error) };
      logger.warn({ err: messageOf(error) }, "lease neither renewed nor taken, trying again");
      if (this.#term?.holds === false) this.#end("it could not be renewed");
    }
  }

  /** Another term, of this scheduler or of another one. */
  async #change(token: number | undefined, untilMs: number): Promise<void> {
    if (this.#term !== undefined) this.#end("its lease or its connection was lost, or another scheduler took the lead");
    if (token === undefined) return;
    const { redis, clock, logger } = this.#deps;
    try {
      this.#term = await openTerm({ redis, clock, kp: this.#config.kp }, token, untilMs);
    } catch (error) {
      // Nobody else may wait for a term that did not begin.
      await this.#lease.release(token);
      throw error;
    }
    logger.info({ token, schedulerId: this.#config.schedulerId }, "this scheduler leads");
    this.#onLead(this.#term);
  }

  #end(why: string): void {
    const { logger } = this.#deps;
    logger.warn({ token: this.#term?.token, why }, "this scheduler leads no more");
    this.#term?.end();
    this.#term = undefined;
  }
}
