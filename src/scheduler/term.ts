/**
 * One term of a leader, and what keeps a leader whose term is over from acting.
 *
 * A process that was stopped, or whose machine was cut off, does not know that its lease has run out. So every write of a
 * term goes over a connection that is of this term alone, and whoever takes the lease next has the server close the
 * connections of all terms before its own, ahead of its first act: what the old leader sends when it wakes is refused by
 * a socket that is no more. Such a connection is never opened again. `require` is the cheap half: by the clock of this
 * process, before each step.
 */
import type { Redis } from "ioredis";
import { keys } from "../contract/queues.ts";
import { LeadershipLostError } from "../contract/errors.ts";
import type { Clock } from "../platform/clock.ts";
import { closeRedis } from "../platform/redis.ts";

export interface TermDeps {
  /** A `command` connection; connections of terms are made like it. */
  readonly redis: Redis;
  readonly clock: Clock;
  readonly kp: string;
}

/** Time for the server to answer what a term asks at its beginning; less than its lease. */
const ANSWER_MS = 2_000;

export class Term {
  readonly token: number;
  /** The connection that every write of this term goes over. */
  readonly redis: Redis;
  readonly #clock: Clock;
  readonly #over = new AbortController();
  #untilMs: number;

  constructor(token: number, redis: Redis, { clock, untilMs }: { clock: Clock; untilMs: number }) {
    this.token = token;
    this.redis = redis;
    this.#clock = clock;
    this.#untilMs = untilMs;
    redis.once("end", () => {
      this.#over.abort();
    });
  }

  /** Aborted when the term is over. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether the lease still holds, by the clock of this process. */
  get holds(): boolean {
    return !this.#over.signal.aborted && this.#clock.monotonicMs() < this.#untilMs;
  }

  /** @throws {LeadershipLostError} when the term is over */
  require(): void {
    if (!this.holds) throw new LeadershipLostError(`expected term ${this.token} to go on, found it over`);
  }

  renew(untilMs: number): void {
    this.#untilMs = untilMs;
  }

  /** Ends the term at once. */
  end(): void {
    this.#over.abort();
    this.redis.disconnect();
  }

  /** Ends it once what was sent has been answered. */
  async close(): Promise<void> {
    await closeRedis(this.redis);
    this.#over.abort();
  }
}

/**
 * Begins the term of a lease that was just taken: opens its connection and closes those of all terms before.
 * @throws {LeadershipLostError} when another has the lease by now
 */
export async function openTerm({ redis, clock, kp }: TermDeps, token: number, untilMs: number): Promise<Term> {
  const connection = redis.duplicate({
    connectionName: `${namePrefix(kp)}${token}`,
    retryStrategy: () => null,
    reconnectOnError: () => false,
    maxRetriesPerRequest: 0,
    commandTimeout: ANSWER_MS,
  });
  // What fails is told by the calls; without a listener an emitted error would end the process.
  connection.on("error", () => undefined);
  try {
    await connection.connect();
    await closeEarlierTerms(connection, kp, token);
    // Opened by a process that was stopped in between, this connection is not one of those that the next leader closed.
    const holder = await connection.hget(keys.leader(kp), "token");
    if (holder !== String(token))
      throw new LeadershipLostError(`expected the lease to be of term ${token}, found ${holder ?? "none"}`);
  } catch (error) {
    connection.disconnect();
    throw error;
  }
  return new Term(token, connection, { clock, untilMs });
}

function namePrefix(kp: string): string {
  return `headroom-leader-${kp}-`;
}

async function closeEarlierTerms(redis: Redis, kp: string, token: number): Promise<void> {
  const clients = (await redis.call("CLIENT", "LIST", "TYPE", "normal")) as string;
  for (const line of clients.split("\n")) {
    const [, id] = /^id=(\d+) /.exec(line) ?? [];
    const [, name = ""] = / name=(\S*) /.exec(line) ?? [];
    if (id === undefined || !name.startsWith(namePrefix(kp))) continue;
    if (Number(name.slice(namePrefix(kp).length)) < token) await redis.call("CLIENT", "KILL", "ID", id);
  }
}
