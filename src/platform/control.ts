/** A small bus between the processes: what must be known at once. Messages may be missed, so nothing may rely on them alone. */
import { once } from "node:events";
import type { Redis } from "ioredis";
import { z } from "zod";
import { keys } from "../contract/queues.ts";
import type { Service } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";

const UNSUBSCRIBE_MS = 2_000;

const controlMessage = z.discriminatedUnion("kind", [
  /** End what runs of this run, and claim no more of it. */
  z.object({ kind: z.literal("cancel"), runId: z.string().min(1) }),
  /** End what runs of these nodes of a flow. */
  z.object({ kind: z.literal("cancel-nodes"), runId: z.string().min(1), paths: z.array(z.string()).max(1_000) }),
  /** A queue was added to for the first time. */
  z.object({ kind: z.literal("queue"), name: z.string().min(1) }),
  /** Limits of workers were changed. */
  z.object({ kind: z.literal("limits") }),
  /** Declarations of profiles were changed. */
  z.object({ kind: z.literal("profiles") }),
  /** Settings of capacity rules were changed. */
  z.object({ kind: z.literal("rules") }),
  /** A worker is to drain, or to go on. */
  z.object({ kind: z.literal("drain") }),
  /** Schedules were changed. */
  z.object({ kind: z.literal("schedules") }),
  /** Something changed that may let a waiting lane go on. */
  z.object({ kind: z.literal("wake") }),
]);
export type ControlMessage = Readonly<z.output<typeof controlMessage>>;

export interface ControlDeps {
  /** A `command` connection. The bus does not close it. */
  readonly redis: Redis;
  /** A `subscriber` connection that only this bus uses. The bus does not close it. */
  readonly subscriber: Redis;
  readonly logger: Logger;
}

export interface ControlListener {
  onMessage(message: ControlMessage): void;
  /** Called after a reconnect, once messages come again: whatever was sent in between is lost, so look again. */
  onResubscribed?(): void;
}

/** Sends one message to every process of the cluster. `kp` is the result of `keyPrefix`. */
export async function publishControl(redis: Redis, kp: string, message: ControlMessage): Promise<void> {
  await redis.publish(keys.control(kp), JSON.stringify(message));
}

/** Hears the messages of one cluster, over any number of reconnects. */
export class ControlBus implements Service {
  readonly #deps: ControlDeps;
  readonly #kp: string;
  readonly #channel: string;
  readonly #listeners = new Set<ControlListener>();
  #starting: Promise<void> | undefined;
  #isStopped = false;

  constructor(deps: ControlDeps, kp: string) {
    this.#deps = deps;
    this.#kp = kp;
    this.#channel = keys.control(kp);
  }

  publish(message: ControlMessage): Promise<void> {
    return publishControl(this.#deps.redis, this.#kp, message);
  }

  /** Adds a listener; the function that comes back removes it. */
  listen(listener: ControlListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Resolves when messages are heard. */
  start(): Promise<void> {
    this.#starting ??= this.#subscribe();
    return this.#starting;
  }

  async stop(): Promise<void> {
    if (this.#isStopped || this.#starting === undefined) return;
    this.#isStopped = true;
    const { subscriber } = this.#deps;
    subscriber.off("message", this.#onMessage);
    subscriber.off("ready", this.#onReady);
    // Without a connection there is no subscription either, and UNSUBSCRIBE would wait for one.
    if (subscriber.status !== "ready") return;
    // Nor is there one once it breaks off; a server that hangs must not keep this process from its end.
    const limit = AbortSignal.timeout(UNSUBSCRIBE_MS);
    const broken = once(subscriber, "close", { signal: limit }).then(
      () => undefined,
      () => undefined, // too late: given up
    );
    await Promise.race([subscriber.unsubscribe(this.#channel), broken]);
  }

  async #subscribe(): Promise<void> {
    const { subscriber } = this.#deps;
    subscriber.on("message", this.#onMessage);
    await subscriber.subscribe(this.#channel);
    subscriber.on("ready", this.#onReady);
  }

  readonly #onReady = (): void => {
    // ioredis has already asked for the subscription by now; the answer to ours comes after it, and proves it.
    this.#deps.subscriber.subscribe(this.#channel).then(
      () => {
        this.#deps.logger.info({ channel: this.#channel }, "control bus is subscribed again");
        for (const listener of this.#listeners) this.#call(() => listener.onResubscribed?.());
      },
      (err: unknown) => {
        if (!this.#isStopped) this.#deps.logger.warn({ err, channel: this.#channel }, "control bus not subscribed");
      },
    );
  };

  readonly #onMessage = (channel: string, text: string): void => {
    if (channel !== this.#channel) return;
    const message = parseMessage(text);
    if (message === undefined) {
      this.#deps.logger.warn({ channel, text: text.slice(0, 200) }, "control message of an unknown kind ignored");
      return;
    }
    for (const listener of this.#listeners) {
      this.#call(() => {
        listener.onMessage(message);
      });
    }
  };

  /** One listener's error must not keep a message from the others. */
  #call(work: () => void): void {
    try {
      work();
    } catch (err) {
      this.#deps.logger.error({ err }, "control listener failed");
    }
  }
}

function parseMessage(text: string): ControlMessage | undefined {
  try {
    return controlMessage.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // not JSON: the caller logs it
  }
}
