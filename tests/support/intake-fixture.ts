/** The HTTP intake over a real Redis, a real store and the real client. */
import type { Redis } from "ioredis";
import { keyPrefix } from "../../src/contract/queues.ts";
import type { Logger } from "../../src/platform/logger.ts";
import { Metrics } from "../../src/platform/metrics.ts";
import { createClient, type Client } from "../../src/producer/client.ts";
import { producerDefaults, type ProducerConfig } from "../../src/producer/config.ts";
import { createProducer } from "../../src/producer/main.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { Store } from "../../src/store/store.ts";
import { quietLogger } from "./quiet-logger.ts";
import { makeTempFolder } from "./temp-folder.ts";

export interface IntakeFixture extends AsyncDisposable {
  readonly url: string;
  readonly client: Client;
  readonly store: Store;
  readonly metrics: Metrics;
  /** A folder that is there, for inputs and outputs. */
  readonly folder: string;
  ask(path: string, init?: RequestInit): Promise<Response>;
  post(body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

export interface IntakeOptions {
  readonly redis: Redis;
  readonly prefix: string;
  readonly config?: Partial<ProducerConfig>;
  readonly logger?: Logger;
}

export async function startIntake(options: IntakeOptions): Promise<IntakeFixture> {
  const { redis, prefix, config, logger = quietLogger } = options;
  const folder = makeTempFolder();
  const store = await openStore(`sqlite:${folder.path}/headroom.db`, quietLogger);
  await store.migrate();
  const client = await createClient({ redis, store, prefix, logger });
  const metrics = new Metrics({ version: "0", process: "producer" }, quietLogger);
  const service = createProducer(
    { client, store, redis, logger, metrics },
    { ...producerDefaults, port: 0, prefix: keyPrefix(prefix), ...config },
  );
  await service.start();
  const ask = (path: string, init?: RequestInit) => fetch(service.url + path, init);
  return {
    url: service.url,
    client,
    store,
    metrics,
    folder: folder.path,
    ask,
    post: (body, headers = {}) =>
      ask("/v1/runs", {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    async [Symbol.asyncDispose]() {
      await service.stop();
      await client.close();
      await store.close();
      folder[Symbol.dispose]();
    },
  };
}
