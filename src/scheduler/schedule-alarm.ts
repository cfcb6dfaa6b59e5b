/**
 * Wakes the leader when a schedule is due, through BullMQ's job schedulers. They are its alarm clock and nothing more: which
 * times there are, and what became of each, is in the store, and each round looks there. So an alarm that is lost, late or
 * rings twice does no harm, and a Redis that was emptied has its alarms set anew.
 *
 * The times are ours (see cron.ts), not those of BullMQ's own reading of an expression.
 */
import { Queue, Worker, type RepeatStrategy } from "bullmq";
import type { Redis } from "ioredis";
import { nextTimes, type ScheduleRecord, type Timing } from "../contract/schedules.ts";

/** Not announced to workers: it is no lane's. */
const QUEUE = "schedule";

const READ_EVERY = 30;

/** BullMQ hands a pattern on as it was given: ours holds the whole timing. */
const repeatStrategy: RepeatStrategy = (afterMs, { pattern }) =>
  nextTimes(JSON.parse(pattern ?? "") as Timing, afterMs, 1)[0];

export interface AlarmDeps {
  /** The connection of the term. */
  readonly redis: Redis;
  readonly kp: string;
  readonly onAlarm: () => void;
}

/** Set by a leader for its term. */
export class ScheduleAlarm {
  readonly #queue: Queue;
  readonly #worker: Worker;
  readonly #reader: Redis;
  /** What is set, by schedule, as it was read last. */
  #set = new Map<string, string>();
  #rounds = 0;

  constructor({ redis, kp, onAlarm }: AlarmDeps) {
    const common = { prefix: kp, settings: { repeatStrategy }, skipVersionCheck: true };
    // Blocking reads wait for ever; a term's own connection must not.
    this.#reader = redis.duplicate({ maxRetriesPerRequest: null, connectionName: "headroom-alarm" });
    delete this.#reader.options.commandTimeout;
    this.#queue = new Queue(QUEUE, { ...common, connection: redis });
    const ring = (): Promise<void> => {
      onAlarm();
      return Promise.resolve();
    };
    this.#worker = new Worker(QUEUE, ring, { ...common, connection: this.#reader });
    // What fails is made up for by the next round; without listeners an emitted error would end the process.
    const ignore = () => undefined;
    this.#queue.on("error", ignore);
    this.#worker.on("error", ignore);
    this.#reader.on("error", ignore);
  }

  /** Sets the alarms of these schedules, and takes all others back. */
  async set(schedules: readonly ScheduleRecord[]): Promise<void> {
    // An earlier leader has set some, and a Redis may lose them.
    if (this.#rounds % READ_EVERY === 0) this.#set = await this.#load();
    this.#rounds += 1;
    const wanted = new Map(schedules.map(({ name, spec }) => [name, patternOf(spec)]));
    for (const name of this.#set.keys()) {
      if (wanted.has(name)) continue;
      await this.#queue.removeJobScheduler(name);
      this.#set.delete(name);
    }
    for (const [name, pattern] of wanted) {
      if (this.#set.get(name) === pattern) continue;
      const opts = { removeOnComplete: true, removeOnFail: true };
      await this.#queue.upsertJobScheduler(name, { pattern }, { name: "schedule", data: {}, opts });
      this.#set.set(name, pattern);
    }
  }

  async close(): Promise<void> {
    await this.#worker.close(true);
    await this.#queue.close();
    this.#reader.disconnect();
  }

  async #load(): Promise<Map<string, string>> {
    const set = await this.#queue.getJobSchedulers();
    return new Map(set.map(({ key, pattern }) => [key, pattern ?? ""]));
  }
}

function patternOf({ cron, every, time_zone }: Timing): string {
  return JSON.stringify({ cron, every, time_zone });
}
