/**
 * One worker of a cluster at a time keeps room for a queue whose next job has waited long (governor/long-waits.ts). Without
 * this all of them would: each would hold small jobs back, and one of them gets the large job.
 *
 * Each second every worker that could keep room offers it, with the moment at which the job could start there. The one
 * with the earliest gets the lease, once somebody has offered twice, for by then all have offered; it keeps it while it
 * renews its offer, and passes it on itself when another could start the job clearly sooner, so that two never have it.
 * Others go on as if nothing waited; who has room for the job takes it.
 *
 * What ends a lease: the job started or is gone (no more offer), the worker stopped, or nothing was heard of it for
 * LEASE_MS. While nothing waits long no command is sent. Redis away: each worker decides for itself (long-waits.ts).
 */
import type { Redis } from "ioredis";
import { messageOf } from "../contract/errors.ts";
import { keys } from "../contract/queues.ts";
import type { Clock } from "../platform/clock.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import { Script } from "../platform/script.ts";
import { LEASE_MS, type LongWaits, type RoomOffer } from "./governor/long-waits.ts";

/**
 * Replaces all offers of one worker and answers who has the lease of each queue that it offers room for. Atomic, so at any
 * moment a queue has one holder at most, and a worker that holds one gets no second.
 *
 * KEYS[1] hash: `offer|QUEUE|WORKER` is `AT|STARTS` (ms since 1970), `holder|QUEUE` a worker id. ARGV[1] worker id,
 * ARGV[2] ms after which an offer that was not renewed is void, then for each queue, first what has waited longest: its
 * name, in how many ms its job could start here; -1: nobody can say.
 * Returns for each of these queues the holder, or an empty text.
 */
const OFFER = new Script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, ttl, never = ARGV[1], tonumber(ARGV[2]), 1e15
local all = redis.call('HGETALL', KEYS[1])
local offers, holders, keeps, isRenewed = {}, {}, {}, {}
for i = 1, #all, 2 do
  local kind, queue, worker = string.match(all[i], '^(%a+)|([^|]*)|?(.*)$')
  if kind == 'holder' then
    holders[queue] = all[i + 1]
  else
    local at, starts = string.match(all[i + 1], '^(%d+)|(%d+)$')
    local isOld = now - tonumber(at) > ttl
    if worker == me and not isOld then isRenewed[queue] = true end
    if worker == me or isOld then
      redis.call('HDEL', KEYS[1], all[i])
    else
      offers[queue] = offers[queue] or {}
      offers[queue][worker] = tonumber(starts)
    end
  end
end
for i = 3, #ARGV, 2 do
  local queue, left = ARGV[i], tonumber(ARGV[i + 1])
  local starts = left < 0 and never or now + left
  offers[queue] = offers[queue] or {}
  offers[queue][me] = starts
  redis.call('HSET', KEYS[1], 'offer|' .. queue .. '|' .. me, string.format('%.0f|%.0f', now, starts))
end
for queue, worker in pairs(holders) do
  if offers[queue] and offers[queue][worker] then
    keeps[worker] = queue
  else
    redis.call('HDEL', KEYS[1], 'holder|' .. queue)
    holders[queue] = nil
  end
end
local answer = {}
for i = 3, #ARGV, 2 do
  local queue, holder = ARGV[i], holders[ARGV[i]]
  local mine, first, least = offers[queue][me], nil, nil
  for worker, starts in pairs(offers[queue]) do
    local isFree = keeps[worker] == nil or keeps[worker] == queue
    if isFree and (least == nil or starts < least or (starts == least and worker < first)) then
      first, least = worker, starts
    end
  end
  local isSooner = first and mine - least > math.max(2000, 0.1 * (mine - now))
  if first and ((not holder and isRenewed[queue]) or (holder == me and first ~= me and isSooner)) then
    if keeps[me] == queue then keeps[me] = nil end
    holder = first
    keeps[first] = queue
    redis.call('HSET', KEYS[1], 'holder|' .. queue, first)
  end
  answer[#answer + 1] = holder or ''
end
redis.call('PEXPIRE', KEYS[1], 10 * ttl)
return answer
`);

const BEAT_MS = 1_000;

export interface DrainLeasesDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly workerId: string;
  /** What decides with the leases. */
  readonly longWaits: Pick<LongWaits, "share" | "lease">;
  /** The queues that this worker could keep room for, what has waited longest first; empty while it does not claim. */
  readOffers(): readonly RoomOffer[];
}

export class DrainLeases implements Service {
  readonly #deps: DrainLeasesDeps;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #held: ReadonlySet<string> = new Set();
  #hasOffered = false;
  #isStopped = false;
  #fault = "";

  constructor(deps: DrainLeasesDeps) {
    this.#deps = deps;
  }

  start(): Promise<void> {
    if (this.#timer === undefined && !this.#isStopped) {
      this.#deps.longWaits.share();
      this.#timer = setInterval(() => void this.renew(), BEAT_MS);
    }
    return Promise.resolve();
  }

  /** Gives back what this worker holds. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#round;
    if (this.#hasOffered) await this.#offer([]);
  }

  /** Offers room once and takes what it is answered; one at a time. */
  renew(): Promise<void> {
    this.#round ??= this.#renew()
      .catch((error: unknown) => {
        // Not told of any lease for LEASE_MS, the governor decides for itself.
        const reason = messageOf(error);
        if (reason !== this.#fault) this.#deps.logger.warn({ err: error, reason }, "room leases could not be renewed");
        this.#fault = reason;
      })
      .finally(() => {
        this.#round = undefined;
      });
    return this.#round;
  }

  async #renew(): Promise<void> {
    const offers = this.#deps.readOffers();
    if (offers.length === 0 && !this.#hasOffered) return;
    await this.#offer(offers);
    this.#fault = "";
  }

  async #offer(offers: readonly RoomOffer[]): Promise<void> {
    const { redis, kp, workerId, longWaits, clock } = this.#deps;
    const pairs = offers.flatMap(({ queue, startsInMs }) => [queue, Math.round(startsInMs ?? -1)]);
    // What was answered holds from when it was asked.
    const askedMs = clock.monotonicMs();
    const holders = (await OFFER.run(redis, [keys.drains(kp)], [workerId, LEASE_MS, ...pairs])) as string[];
    this.#hasOffered = offers.length > 0;
    const held = new Set(offers.flatMap(({ queue }, at) => (holders[at] === workerId ? [queue] : [])));
    longWaits.lease(held, askedMs);
    this.#tell(held, offers);
  }

  #tell(held: ReadonlySet<string>, offers: readonly RoomOffer[]): void {
    const { metrics, logger } = this.#deps;
    const count = (event: string, queue: string) => {
      metrics.counter("headroom_room_leases_total").inc({ event });
      const jobId = offers.find((offer) => offer.queue === queue)?.jobId;
      logger.info({ event, queue, jobId }, "lease of the room for a job that has waited long");
    };
    for (const queue of held) if (!this.#held.has(queue)) count("taken", queue);
    for (const queue of this.#held) {
      if (!held.has(queue)) count(offers.some((offer) => offer.queue === queue) ? "passed-on" : "released", queue);
    }
    this.#held = held;
  }
}
