/**
 * Traces, for those who name a collector: `OTEL_EXPORTER_OTLP_ENDPOINT`, or the same for traces alone. Without it neither
 * the SDK of OpenTelemetry nor its exporter is loaded; its API is, by prom-client. A collector that does not answer costs spans and nothing else.
 */
import type { Service } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";
import type { BuildFacts } from "./metrics.ts";
import type { OtlpSpans } from "./otlp-spans.ts";
import type { SpanFacts, SpanSink } from "./spans.ts";

/** Whether the environment names a collector, and does not turn it off. */
export function isTracing(env: NodeJS.ProcessEnv): boolean {
  if (env["OTEL_SDK_DISABLED"] === "true" || env["OTEL_TRACES_EXPORTER"] === "none") return false;
  return [env["OTEL_EXPORTER_OTLP_ENDPOINT"], env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]].some((url) => url?.trim());
}

export class Telemetry implements Service, SpanSink {
  readonly isOn: boolean;
  readonly #about: BuildFacts;
  readonly #logger: Logger;
  #spans: OtlpSpans | undefined;
  #starting: Promise<void> | undefined;

  constructor(env: NodeJS.ProcessEnv, about: BuildFacts, logger: Logger) {
    this.isOn = isTracing(env);
    this.#about = about;
    this.#logger = logger;
  }

  tell(span: SpanFacts): void {
    this.#spans?.tell(span);
  }

  start(): Promise<void> {
    this.#starting ??= this.isOn ? this.#load() : Promise.resolve();
    return this.#starting;
  }

  async stop(): Promise<void> {
    const spans = this.#spans;
    this.#spans = undefined;
    try {
      await spans?.close();
    } catch (error) {
      this.#logger.warn({ err: error }, "last spans not sent");
    }
  }

  async #load(): Promise<void> {
    const { OtlpSpans } = await import("./otlp-spans.ts");
    this.#spans = new OtlpSpans(this.#about);
    this.#logger.info({}, "traces are sent to the collector");
  }
}
