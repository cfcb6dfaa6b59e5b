/**
 * Keeps the annotation `controller.kubernetes.io/pod-deletion-cost` of this worker's own pod: whoever scales in ends the pods
 * with the lowest first, so idle workers go before busy ones, and these before those that have long work in progress.
 *
 * One PATCH when the worker moves from one bucket to another, and only down after a while: who finds the next job at once was
 * never idle. A cluster that refuses is told of once, and the worker works on: the cost is a wish, draining is the promise.
 */
import { readFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { InfrastructureError, messageOf } from "../contract/errors.ts";
import type { Clock } from "../platform/clock.ts";
import type { Service } from "../platform/lifecycle.ts";
import type { Logger } from "../platform/logger.ts";

/** Where a pod finds itself: `POD_NAME` and `POD_NAMESPACE`, the address of the API, and the folder of its account. */
export interface PodPlace {
  readonly name: string;
  readonly namespace: string;
  readonly apiHost: string;
  readonly apiPort: number;
  /** With `token` and `ca.crt`; the token is read anew each time, for it is renewed. */
  readonly accountFolder: string;
}

export interface PodCostDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** When each job that is held began, in ms since 1970. */
  startedMs(): readonly number[];
}

/** Deletion costs; the lowest goes first. */
export const podCosts = { idle: 0, busy: 100, long: 200 } as const;
type Bucket = keyof typeof podCosts;

const LOOK_MS = 1_000;
/** A job that has run for so long is work that nobody wants to do again. */
const LONG_MS = 60_000;
const DOWN_AFTER_MS = 10_000;
const ANSWER_MS = 5_000;
const RETRY_MS = 30_000;

/** Pure. */
export function bucketOfPod(startedMs: readonly number[], nowMs: number): Bucket {
  if (startedMs.length === 0) return "idle";
  return startedMs.some((sinceMs) => nowMs - sinceMs >= LONG_MS) ? "long" : "busy";
}

export class PodCost implements Service {
  readonly #deps: PodCostDeps;
  readonly #place: PodPlace;
  #timer: NodeJS.Timeout | undefined;
  #told: Bucket | undefined;
  /** Since when a lower bucket than the one that was told would do. */
  #lowerSinceMs: number | undefined;
  #notBeforeMs = 0;
  #sending: Promise<void> | undefined;
  #fault = "";

  constructor(deps: PodCostDeps, place: PodPlace) {
    this.#deps = deps;
    this.#place = place;
  }

  start(): Promise<void> {
    this.#timer ??= setInterval(() => {
      this.look();
    }, LOOK_MS);
    this.look();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sending;
  }

  /** Tells the API when the bucket is another one. One request at a time. */
  look(): void {
    const { clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (this.#sending !== undefined || nowMs < this.#notBeforeMs) return;
    const bucket = bucketOfPod(this.#deps.startedMs(), clock.nowMs());
    const isLower = this.#told !== undefined && podCosts[bucket] < podCosts[this.#told];
    this.#lowerSinceMs = isLower ? (this.#lowerSinceMs ?? nowMs) : undefined;
    const isSettled = this.#lowerSinceMs === undefined || nowMs - this.#lowerSinceMs >= DOWN_AFTER_MS;
    if (bucket === this.#told || !isSettled) return;
    this.#sending = this.#tell(bucket).finally(() => {
      this.#sending = undefined;
    });
  }

  async #tell(bucket: Bucket): Promise<void> {
    const { logger, clock } = this.#deps;
    try {
      await patchPod(this.#place, podCosts[bucket]);
      this.#told = bucket;
      this.#fault = "";
      logger.debug({ bucket, cost: podCosts[bucket] }, "deletion cost of the pod told");
    } catch (error) {
      const reason = messageOf(error);
      this.#notBeforeMs = clock.monotonicMs() + RETRY_MS;
      if (reason !== this.#fault) logger.warn({ err: error, reason }, "deletion cost of the pod could not be told");
      this.#fault = reason;
    }
  }
}

/** @throws {InfrastructureError} when the API does not answer, or refuses */
async function patchPod({ name, namespace, apiHost, apiPort, accountFolder }: PodPlace, cost: number): Promise<void> {
  const read = (file: string) => readFile(join(accountFolder, file), "utf8");
  const [token, ca] = await Promise.all([read("token"), read("ca.crt")]);
  const annotations = { "controller.kubernetes.io/pod-deletion-cost": String(cost) };
  const body = JSON.stringify({ metadata: { annotations } });
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
  await new Promise<void>((resolve, reject) => {
    const sent = request(
      {
        ...{ method: "PATCH", host: apiHost, port: apiPort, path, ca, timeout: ANSWER_MS, agent: false },
        headers: {
          Authorization: `Bearer ${token.trim()}`,
          "Content-Type": "application/merge-patch+json",
          "Content-Length": Buffer.byteLength(body),
        },
      },
      (response) => {
        response.resume().on("end", () => {
          const status = response.statusCode ?? 0;
          if (status >= 200 && status < 300) resolve();
          else
            reject(new InfrastructureError(`expected the API to take the pod's deletion cost, found status ${status}`));
        });
      },
    );
    sent.on("timeout", () => {
      sent.destroy(new InfrastructureError(`expected the API to answer within ${ANSWER_MS} ms, found none`));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
