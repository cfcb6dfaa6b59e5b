/**
 * Watches the pull loop (law 8): knows when it stands still, says so, and gets it going again.
 *
 * The loop is in a pass (it asks Redis for jobs) or in a read (it waits for a marker, on the blocking connection). Each
 * of them is expected to come back; what happens when one does not:
 *
 *   read, `stuckMs`                        its connection is opened anew: it hangs, whatever the system says of it;
 *                                          and the loop makes a pass, which needs only the other connection
 *   pass, `stuckMs`                        a write that changes nothing is sent after it, on the same connection
 *   … and no answer to that, `stuckMs`     the connection is opened anew; its commands are sent again
 *   … and an answer, but no pass, `hangMs` nothing in this process will end the pass: `onStuck`, which ends the process
 *                                          in an orderly way, so that who supervises it starts it again
 *
 * While Redis is down nothing is cut: its connections try again by themselves, and a pass goes on when it is back. A Redis
 * that answers and takes no write (READONLY, until a failover has ended) is as good as down, which is why a PING would not do.
 */
import type { Redis } from "ioredis";
import { InfrastructureError } from "../contract/errors.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";

export interface PullLimits {
  readonly stuckMs: number;
  readonly hangMs: number;
}

export const pullLimits: PullLimits = { stuckMs: 10_000, hangMs: 60_000 };

export interface PullWatchDeps {
  readonly redis: Redis;
  readonly blocking: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: PullLimits;
  /** The key prefix with its hash tag. */
  readonly kp: string;
  /** A read hangs: until it comes back, the loop has to look without being woken. */
  readonly onReadHangs: () => void;
  /** The loop hangs for a reason that no new connection mends. */
  onStuck(error: InfrastructureError): void;
}

const LOOK_MS = 1_000;

interface Pass {
  readonly sinceMs: number;
  /** The write that was sent after it: when, and when it was answered. */
  probe: { sentMs: number; answeredMs: number | undefined } | undefined;
}

export class PullWatch {
  readonly #deps: PullWatchDeps;
  #timer: NodeJS.Timeout | undefined;
  #answeredMs: number;
  #pass: Pass | undefined;
  /** When the read under way was sent, on the connection that there is now. */
  #readMs: number | undefined;
  /** Since when no read was answered; a read that is sent again on a new connection is no answer. */
  #unansweredMs: number | undefined;
  #isStuck = false;

  constructor(deps: PullWatchDeps) {
    this.#deps = deps;
    this.#answeredMs = deps.clock.monotonicMs();
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      this.#look();
    }, LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Whether only a new process helps. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  /** Milliseconds since the loop last got an answer that it waited for. */
  get ageMs(): number {
    const nowMs = this.#now();
    return Math.max(nowMs - this.#answeredMs, this.#unansweredMs === undefined ? 0 : nowMs - this.#unansweredMs);
  }

  /** Nothing was waited for before now. */
  begins(): void {
    this.#answeredMs = this.#now();
    this.#unansweredMs = undefined;
  }

  passBegins(): void {
    this.#pass = { sinceMs: this.#now(), probe: undefined };
  }

  /** The pass came back. Who claims does not stand still, whatever became of the last read. */
  passEnds(claimed: number): void {
    this.#pass = undefined;
    this.#answeredMs = this.#now();
    if (claimed > 0) this.#unansweredMs = undefined;
  }

  /** The pass threw: Redis is away, and says so. */
  passFails(): void {
    this.#pass = undefined;
  }

  readBegins(): void {
    this.#readMs = this.#now();
    this.#unansweredMs ??= this.#readMs;
  }

  readEnds(isAnswered: boolean): void {
    this.#readMs = undefined;
    if (!isAnswered) return;
    this.#unansweredMs = undefined;
    this.#answeredMs = this.#now();
  }

  #look(): void {
    const { logger, limits, blocking, onReadHangs } = this.#deps;
    const nowMs = this.#now();
    if (this.#readMs !== undefined && nowMs - this.#readMs >= limits.stuckMs) {
      logger.warn({ stuckMs: Math.round(nowMs - this.#readMs) }, "blocking read hangs, opening its connection anew");
      this.#readMs = nowMs;
      blocking.disconnect(true);
      onReadHangs();
    }
    if (this.#pass !== undefined && nowMs - this.#pass.sinceMs >= limits.stuckMs) this.#lookAtPass(this.#pass, nowMs);
  }

  #lookAtPass(pass: Pass, nowMs: number): void {
    const { logger, limits, redis } = this.#deps;
    if (pass.probe === undefined) {
      this.#probe(pass, nowMs);
      return;
    }
    const { sentMs, answeredMs } = pass.probe;
    if (answeredMs !== undefined) {
      if (nowMs - answeredMs >= limits.hangMs) this.#giveUp(nowMs - pass.sinceMs);
    } else if (redis.status === "ready" && nowMs - sentMs >= limits.stuckMs) {
      logger.warn({ stuckMs: Math.round(nowMs - pass.sinceMs) }, "redis takes nothing, opening its connection anew");
      pass.probe.sentMs = nowMs;
      redis.disconnect(true);
    }
  }

  #probe(pass: Pass, nowMs: number): void {
    const probe: Pass["probe"] = { sentMs: nowMs, answeredMs: undefined };
    pass.probe = probe;
    this.#deps.redis.unlink(`${this.#deps.kp}:probe`).then(
      () => {
        probe.answeredMs = this.#now();
      },
      () => {
        // The connection was closed for good, or said no: the next look sends another one.
        pass.probe = undefined;
      },
    );
  }

  #giveUp(hungMs: number): void {
    if (this.#isStuck) return;
    this.#isStuck = true;
    const seconds = Math.round(hungMs / 1_000);
    const error = new InfrastructureError(
      `expected the pull loop to come back, found it hanging for ${seconds} s while redis takes writes`,
    );
    this.#deps.logger.error({ err: error }, "pull loop hangs, only a new process helps");
    this.#deps.onStuck(error);
  }

  #now(): number {
    return this.#deps.clock.monotonicMs();
  }
}
