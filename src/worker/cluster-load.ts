/**
 * How loaded the workers of a cluster are, as far as each has told: a small hash in Redis. A worker tells its own load and
 * hears the others' in one script, each second, and a moment after what it holds has changed.
 *
 * A job whose turn is another worker's is left to it for a short while (`isYielding`), never longer: who is slow, or gone
 * a moment ago, holds nobody up.
 */
import type { Redis } from "ioredis";
import { messageOf } from "../contract/errors.ts";
import { keys } from "../contract/queues.ts";
import { add, nothing, type Amounts } from "../contract/resources.ts";
import type { Clock } from "../platform/clock.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";
import { Script } from "../platform/script.ts";
import { decideTurn, nodeLoad, type NodeLoad, type TurnQuestion } from "./turn.ts";

/**
 * KEYS[1] the hash of loads. ARGV[1] worker id, ARGV[2] its load as JSON, ARGV[3] ms after which a load is old.
 * Returns the loads of the others that are not old. Those that are very old are removed: their workers are gone.
 */
const shareLoad = new Script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f|', now) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], 60000)
local all, others = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  if all[i] ~= ARGV[1] then
    local at, json = string.match(all[i + 1], '^(%d+)|(.*)$')
    local age = now - (tonumber(at) or 0)
    if age < tonumber(ARGV[3]) then others[#others + 1] = json
    elseif age > 10 * tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], all[i]) end
  end
end
return others
`);

const BEAT_MS = 1_000;
const OLD_MS = 3_000;
/** How soon a change is told. With n workers each telling reads n loads, so it is told the later the more there are. */
const SOON_MS = 20;
/** For how long a job is left to the worker whose turn it is: long enough to hear twice what the others have taken. */
const LEAST_YIELD_MS = 100;
const MOST_YIELD_MS = 500;
/** After a job was left to another for that long in vain, for how long that is not done again. */
const VAIN_RATIO = 3;

export interface ClusterLoadDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What this worker has, whether it admits at all, and for which queues it has no room. */
  readOwn(): Pick<NodeLoad, "isOpen" | "capacity" | "withoutRoom">;
  /** A job may be this worker's turn now. */
  onTurn(): void;
  /** A queue begins to be left to others. */
  onYield(): void;
}

export class ClusterLoad implements Service {
  readonly #deps: ClusterLoadDeps;
  readonly #who: { readonly workerId: string; readonly labels: readonly string[] };
  readonly #held = new Set<{ readonly need: Amounts }>();
  /** By queue: since when its jobs are left to others. */
  readonly #yieldingSinceMs = new Map<string, number>();
  #others: readonly NodeLoad[] = [];
  #own: NodeLoad | undefined;
  #beat: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #sharing: Promise<void> | undefined;
  #isStopped = false;
  #fault = "";

  constructor(deps: ClusterLoadDeps, who: { readonly workerId: string; readonly labels: readonly string[] }) {
    this.#deps = deps;
    this.#who = who;
  }

  async start(): Promise<void> {
    if (this.#beat !== undefined || this.#isStopped) return;
    this.#beat = setInterval(() => void this.#share(), BEAT_MS);
    await this.#share();
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearInterval(this.#beat);
    clearTimeout(this.#soon);
    await this.#sharing;
    await this.#deps.redis.hdel(keys.loads(this.#deps.kp), this.#who.workerId);
  }

  /** This worker holds a job more, until what is returned is called. */
  took(need: Amounts): () => void {
    const held = { need };
    this.#held.add(held);
    this.#tellSoon();
    return () => {
      this.#held.delete(held);
      this.#tellSoon();
    };
  }

  /** Whether a job of this queue, which this worker could start now, is another's turn; then it is left to that one. */
  shouldYield(question: TurnQuestion): boolean {
    const own = this.#own;
    if (own === undefined || this.#others.length === 0 || question.need.processes === 0) return false;
    const { queue } = question;
    if (decideTurn({ ...own, reserved: this.#reserved() }, this.#others, question) === undefined) {
      this.#yieldingSinceMs.delete(queue);
      return false;
    }
    const now = this.#deps.clock.monotonicMs();
    const since = this.#yieldingSinceMs.get(queue);
    if (since === undefined || now - since > (1 + VAIN_RATIO) * this.#yieldMs) {
      this.#yieldingSinceMs.set(queue, now);
      this.#deps.onYield();
      this.#tellSoon();
      return true;
    }
    return now - since < this.#yieldMs;
  }

  /** Whether jobs of this queue are left to another worker at the moment. */
  isYielding(queue: string): boolean {
    const since = this.#yieldingSinceMs.get(queue);
    return since !== undefined && this.#deps.clock.monotonicMs() - since < this.#yieldMs;
  }

  get #soonMs(): number {
    return Math.min(BEAT_MS, Math.max(SOON_MS, this.#others.length));
  }

  get #yieldMs(): number {
    return Math.min(MOST_YIELD_MS, Math.max(LEAST_YIELD_MS, 3 * this.#soonMs));
  }

  #tellSoon(): void {
    if (this.#soon !== undefined || this.#isStopped || this.#others.length === 0) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      void this.#share();
    }, this.#soonMs);
  }

  #reserved(): Amounts {
    let sum = nothing;
    for (const { need } of this.#held) sum = add(sum, need);
    return sum;
  }

  #readOwn(): NodeLoad {
    return { ...this.#who, labels: [...this.#who.labels], ...this.#deps.readOwn(), reserved: this.#reserved() };
  }

  /** Tells and hears once, one at a time. */
  #share(): Promise<void> {
    this.#sharing ??= this.#shareOnce()
      .catch((error: unknown) => {
        // Whoever hears nothing of others works as if it were alone.
        this.#others = [];
        const reason = messageOf(error);
        if (reason !== this.#fault) this.#deps.logger.warn({ reason }, "load could not be shared with other workers");
        this.#fault = reason;
      })
      .finally(() => {
        this.#sharing = undefined;
      });
    return this.#sharing;
  }

  async #shareOnce(): Promise<void> {
    this.#own = this.#readOwn();
    const { redis, kp } = this.#deps;
    const answer = await shareLoad.run(
      redis,
      [keys.loads(kp)],
      [this.#who.workerId, JSON.stringify(this.#own), OLD_MS],
    );
    this.#fault = "";
    this.#others = (answer as string[]).flatMap((json) => parseLoad(json) ?? []);
    this.#settle();
  }

  /** Wakes whoever waits for a turn that has come, or may come while nobody tells anything. */
  #settle(): void {
    if (this.#yieldingSinceMs.size === 0) return;
    const now = this.#deps.clock.monotonicMs();
    for (const [queue, since] of this.#yieldingSinceMs) {
      if (now - since > (1 + VAIN_RATIO) * this.#yieldMs) this.#yieldingSinceMs.delete(queue);
    }
    if ([...this.#yieldingSinceMs.values()].some((since) => now - since < this.#yieldMs)) this.#tellSoon();
    this.#deps.onTurn();
  }
}

/** A load of another version, or none at all, is no load. */
function parseLoad(json: string): NodeLoad | undefined {
  try {
    return nodeLoad.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined; // not JSON: somebody else has written into the hash
  }
}
