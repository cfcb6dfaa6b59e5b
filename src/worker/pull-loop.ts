/**
 * Admit, then claim (law 1). One loop serves all lanes of a worker:
 *
 *   for each lane that may hold something and that the governor would admit: reserve, then fetch; nothing there: release
 *   nothing fetched at all: park on one blocking read over the marker keys of the lanes that may be served
 *
 * States: `idle` (not started) → `pulling` ⇄ `draining` (no more claims, running jobs end) → `stopped`.
 * The loop is woken by a marker in Redis, by `kick` (room was made, a queue is new, a delayed job is due), or by its
 * park time. A marker that was popped although its lane may not be served by now is put back for the other workers.
 *
 * A lane is `open` until a fetch finds nothing in it. Then it is `empty`, and left alone until its marker is popped: what
 * is added later leaves one behind, which stays until somebody pops it. It is open again after a while too (empty-lanes.ts),
 * for a worker that popped a marker may be lost before it fetches.
 */
import type { Redis } from "ioredis";
import { messageOf, type InfrastructureError } from "../contract/errors.ts";
import { equalJitterMs } from "../platform/backoff.ts";
import type { Clock } from "../platform/clock.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import { Seldom } from "../platform/seldom.ts";
import type { Admissions, Admitted } from "./admissions.ts";
import { EmptyLanes } from "./empty-lanes.ts";
import type { Lane } from "./lane.ts";
import { pullLimits, PullWatch, type PullLimits } from "./pull-watch.ts";

export interface PullLoopDeps {
  /** For blocking reads only. */
  readonly blocking: Redis;
  readonly redis: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly workerId: string;
  /** The key prefix with its hash tag. */
  readonly kp: string;
  lanes(): readonly Lane[];
  readonly admissions: Pick<Admissions, "admit" | "couldAdmit" | "isOrderWanted" | "inOrder">;
  /** The loop hangs, and only a new process helps (see pull-watch.ts). */
  onStuck(error: InfrastructureError): void;
  readonly limits?: PullLimits;
}

const PARK_SECONDS = 1;
/** Redis may refuse for long, as it does while its memory is full: asked ever less often, but at least each five seconds. */
const errorPause = { backoffMs: 500, backoffFactor: 2, maxBackoffMs: 5_000 };
const LOG_EVERY_MS = 10_000;

export class PullLoop implements Service {
  readonly #deps: PullLoopDeps;
  readonly #logger: Logger;
  #state: "idle" | "pulling" | "draining" | "stopped" = "idle";
  #wake: () => void = () => undefined;
  #kicked = false;
  #parked: Promise<void> | undefined;
  #parkedKeys: ReadonlySet<string> = new Set();
  #dueTimer: NodeJS.Timeout | undefined;
  #dueAtMs = 0;
  #loop: Promise<void> | undefined;
  #isLooping = false;
  #running = new Set<Promise<void>>();
  #turn = 0;
  readonly #empty = new EmptyLanes<Lane>();
  /** The lane whose marker was popped: it has something to fetch, so it is served before any other. */
  #hint: { readonly lane: Lane; readonly score: number } | undefined;
  readonly #watch: PullWatch;
  #lastClaimMs: number | undefined;
  /** Passes that failed one after the other. */
  #failures = 0;
  readonly #passErrors: Seldom;
  readonly #readErrors: Seldom;

  constructor(deps: PullLoopDeps) {
    this.#deps = deps;
    this.#logger = deps.logger;
    this.#passErrors = new Seldom(deps.clock, LOG_EVERY_MS);
    this.#readErrors = new Seldom(deps.clock, LOG_EVERY_MS);
    this.#watch = new PullWatch({
      ...deps,
      limits: deps.limits ?? pullLimits,
      onReadHangs: () => {
        this.lookAgain();
      },
    });
  }

  start(): Promise<void> {
    if (this.#state === "idle") {
      this.#state = "pulling";
      this.#watch.start();
      this.#begin();
    }
    return Promise.resolve();
  }

  /** Claims again after a drain that was undone. */
  resume(): void {
    if (this.#state !== "draining") return;
    this.#state = "pulling";
    this.#watch.begins();
    // One that has not come to its end goes on as it was.
    if (!this.#isLooping) this.#begin();
    this.lookAgain();
  }

  /** Looks at the lanes that may hold something again, now. */
  kick(): void {
    this.#kicked = true;
    this.#wake();
  }

  /** Looks at all lanes again, now. */
  lookAgain(): void {
    this.#empty.clear();
    this.kick();
  }

  /**
   * Milliseconds since the loop last got an answer from Redis, 0 while it is to ask for none; and since it last claimed a job,
   * 0 before the first claim.
   */
  get ages(): { pullMs: number; claimMs: number } {
    const now = this.#deps.clock.monotonicMs();
    return { pullMs: this.#state === "pulling" ? this.#watch.ageMs : 0, claimMs: now - (this.#lastClaimMs ?? now) };
  }

  /** Whether the loop hangs for good. */
  get isStuck(): boolean {
    return this.#watch.isStuck;
  }

  /** Stops claiming; jobs that run go on. */
  async drain(): Promise<void> {
    if (this.#state === "pulling") this.#state = "draining";
    this.kick();
    // One that hangs for good is not waited for: what runs can still be ended, or handed back.
    if (!this.#watch.isStuck) await this.#loop;
    const hint = this.#hint;
    this.#hint = undefined;
    // Popped in the last moment: somebody else has to see it.
    if (hint !== undefined) await this.#putBack(hint.lane.markerKey, hint.score);
  }

  /** Resolves when no job runs any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async stop(): Promise<void> {
    if (this.#state === "stopped") return;
    await this.drain();
    this.#state = "stopped";
    clearTimeout(this.#dueTimer);
    this.#watch.stop();
  }

  #begin(): void {
    this.#isLooping = true;
    this.#loop = this.#run().finally(() => {
      this.#isLooping = false;
    });
  }

  get #wakeKey(): string {
    return `${this.#deps.kp}:wake:${this.#deps.workerId}`;
  }

  async #run(): Promise<void> {
    while (this.#state === "pulling") {
      try {
        this.#kicked = false;
        this.#watch.passBegins();
        const claimed = await this.#pass();
        this.#watch.passEnds(claimed);
        this.#failures = 0;
        this.#passErrors.reset();
        if (claimed === 0) await this.#rest();
      } catch (error) {
        this.#watch.passFails();
        this.#failures += 1;
        this.#passErrors.say((heldBack) => {
          const reason = messageOf(error);
          this.#logger.warn({ err: error, reason, heldBack }, "pull loop could not read from redis");
        });
        await this.#pause(this.#failures);
      }
    }
  }

  /** One look at every lane that may hold something; where several do, one claim in the order that fills a worker best. */
  async #pass(): Promise<number> {
    const all = this.#deps.lanes();
    this.#turn = all.length === 0 ? 0 : (this.#turn + 1) % all.length;
    const inTurn = [...all.slice(this.#turn), ...all.slice(0, this.#turn)];
    const nowMs = this.#deps.clock.monotonicMs();
    const lanes = inTurn.filter((lane) => this.#empty.isDue(lane, { nowMs, lanes: all.length }));
    if (this.#deps.admissions.isOrderWanted(lanes)) return this.#passInOrder(lanes);
    let claimed = await this.#serveHint();
    if (claimed > 0) return claimed;
    for (const lane of lanes) claimed += await this.#serve(lane);
    return claimed;
  }

  async #passInOrder(lanes: readonly Lane[]): Promise<number> {
    for (const lane of await this.#deps.admissions.inOrder(lanes)) {
      if (this.#state !== "pulling") return 0;
      const ticket = await this.#deps.admissions.admit(lane);
      if (ticket.kind === "admit" && (await this.#claim(lane, ticket))) return 1;
      if (ticket.kind === "empty") this.#foundEmpty(lane);
    }
    return this.#serveHint();
  }

  /** Serves the lane whose marker was popped; one that may not be served by now has its marker put back for others. */
  async #serveHint(): Promise<number> {
    const hint = this.#hint;
    this.#hint = undefined;
    if (hint === undefined) return 0;
    const ticket = await this.#deps.admissions.admit(hint.lane);
    if (ticket.kind === "admit") return (await this.#claim(hint.lane, ticket)) ? 1 : 0;
    if (ticket.kind === "empty") {
      // Back in its place it would be popped again at once, over and over. Who adds a job sets a marker of its own.
      this.#foundEmpty(hint.lane);
      this.#watchAt(hint.score);
      return 0;
    }
    await this.#putBack(hint.lane.markerKey, hint.score);
    return 0;
  }

  async #serve(lane: Lane): Promise<number> {
    let claimed = 0;
    while (this.#state === "pulling") {
      const ticket = await this.#deps.admissions.admit(lane);
      if (ticket.kind === "empty") this.#foundEmpty(lane);
      if (ticket.kind !== "admit") return claimed;
      if (!(await this.#claim(lane, ticket))) return claimed;
      claimed += 1;
    }
    return claimed;
  }

  /** Fetches with a reservation in hand; gives it back when there was nothing to fetch. */
  async #claim(lane: Lane, ticket: Admitted): Promise<boolean> {
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    try {
      const onEnd = (): void => {
        ticket.release();
        end();
        this.#running.delete(ended);
        this.kick();
      };
      const job = await lane.claim(onEnd, ticket.wanted);
      if (job === "none" || job === "another") {
        ticket.release();
        if (job === "none") this.#foundEmpty(lane);
        // What is there now was not looked at yet.
        else this.kick();
        return false;
      }
      this.#empty.delete(lane);
      this.#running.add(ended);
      ticket.bind(job.id ?? "", (job.data as { runId: string }).runId);
      this.#lastClaimMs = this.#deps.clock.monotonicMs();
      return true;
    } catch (error) {
      ticket.release();
      throw error;
    }
  }

  #foundEmpty(lane: Lane): void {
    this.#empty.add(lane, this.#deps.clock.monotonicMs());
    this.#watchAt(lane.nextDueMs);
  }

  /** A delayed job is due at a time that nobody will tell us of: set one timer for the earliest. */
  #watchAt(due: number): void {
    const now = this.#deps.clock.nowMs();
    if (due <= now || (this.#dueAtMs > now && this.#dueAtMs <= due)) return;
    clearTimeout(this.#dueTimer);
    this.#dueAtMs = due;
    this.#dueTimer = setTimeout(
      () => {
        this.#dueAtMs = 0;
        this.lookAgain();
      },
      Math.min(due - now, 60_000) + 1,
    );
  }

  /** Waits for a marker or a kick. */
  async #rest(): Promise<void> {
    const open = this.#deps.lanes().filter((lane) => this.#deps.admissions.couldAdmit(lane));
    const kicked = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#kicked) return;
    if (this.#parked === undefined) this.#parked = this.#park(open);
    else if (open.some((lane) => !this.#parkedKeys.has(lane.markerKey))) {
      // The read under way does not watch a lane that may be served by now: end it through our own wake key.
      await this.#deps.redis.zadd(this.#wakeKey, 0, "wake");
    }
    await Promise.race([this.#parked, kicked]);
  }

  async #park(lanes: readonly Lane[]): Promise<void> {
    this.#watch.readBegins();
    let isAnswered = false;
    this.#parkedKeys = new Set(lanes.map((lane) => lane.markerKey));
    try {
      const popped = await this.#deps.blocking.bzpopmin(...this.#parkedKeys, this.#wakeKey, PARK_SECONDS);
      isAnswered = true;
      this.#watch.readEnds(true);
      this.#readErrors.reset();
      if (popped !== null && popped[0] !== this.#wakeKey) await this.#marker(popped[0], Number(popped[2]), lanes);
    } catch (error) {
      if (!isAnswered) this.#watch.readEnds(false);
      if (this.#state !== "pulling") return;
      this.#readErrors.say((heldBack) => {
        this.#logger.warn({ err: error, heldBack }, "blocking read failed");
      });
      await this.#deps.clock.sleep(errorPause.backoffMs);
    } finally {
      this.#parked = undefined;
    }
  }

  /** Waits before the next pass; a drain ends it early. */
  async #pause(failures: number): Promise<void> {
    const end = new AbortController();
    this.#wake = () => {
      if (this.#state !== "pulling") end.abort();
    };
    await this.#deps.clock.sleep(equalJitterMs(failures, errorPause), end.signal).catch(() => undefined);
  }

  async #marker(key: string, score: number, lanes: readonly Lane[]): Promise<void> {
    const lane = lanes.find((candidate) => candidate.markerKey === key);
    if (this.#state === "pulling" && lane !== undefined) {
      this.#empty.delete(lane);
      this.#hint = { lane, score };
      this.kick();
      return;
    }
    await this.#putBack(key, score);
  }

  /** BullMQ's own members: "0" with score 0 for a job that waits, "1" with its due time for a delayed one. */
  async #putBack(key: string, score: number): Promise<void> {
    await this.#deps.redis.zadd(key, score, score > 0 ? "1" : "0");
  }
}
