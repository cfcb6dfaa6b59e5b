/** The HTTP intake over a cluster that runs flows. */
import { Metrics } from "../../src/platform/metrics.ts";
import { producerDefaults, type ProducerConfig } from "../../src/producer/config.ts";
import { createProducer } from "../../src/producer/main.ts";
import { FlowCluster } from "./flow-cluster.ts";
import { conforming } from "./openapi-answers.ts";
import { quietLogger } from "./quiet-logger.ts";

type Json = Readonly<Record<string, unknown>>;

export interface FlowIntake extends AsyncDisposable {
  readonly cluster: FlowCluster;
  /** A folder that is there, for the folders of runs. */
  readonly folder: string;
  /**
   * Asks for `GET /v1/runs/{id}`, with the parts of the path in their order. The answer has been held against the
   * published file.
   */
  ask(operation: string, request?: AskOptions): Promise<{ readonly status: number; readonly body: Json }>;
}

export interface AskOptions {
  readonly parts?: readonly string[];
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function startFlowIntake(config: Partial<ProducerConfig> = {}, workers = 1): Promise<FlowIntake> {
  const cluster = await FlowCluster.open(workers);
  const { client, store, redis, kp } = cluster;
  const metrics = new Metrics({ version: "0", process: "producer" }, quietLogger);
  const service = createProducer(
    { client, store, redis, logger: quietLogger, metrics },
    { ...producerDefaults, port: 0, prefix: kp, ...config },
  );
  await service.start();
  return {
    cluster,
    folder: cluster.scratch.folder("out"),
    ask: async (operation, { parts = [], query = "", body, headers = {} } = {}) => {
      const [method = "", path = ""] = operation.split(" ");
      const rest = [...parts];
      const filled = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(rest.shift() ?? ""));
      const sent = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
      const answer = await fetch(`${service.url}${filled}${query}`, {
        method,
        headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
        ...sent,
      });
      return { status: answer.status, body: await conforming(operation, answer) };
    },
    async [Symbol.asyncDispose]() {
      await service.stop();
      await cluster[Symbol.asyncDispose]();
    },
  };
}
