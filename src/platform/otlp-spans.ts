/** Spans to a collector over OTLP/HTTP. The only importer of OpenTelemetry, and loaded only where a collector is named. */
import { SpanKind, SpanStatusCode, TraceFlags, type HrTime, type SpanContext } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes, type Resource } from "@opentelemetry/resources";
import { BatchSpanProcessor, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { newSpanId, type SpanFacts } from "./spans.ts";

/** Takes spans and sends them in batches. Where to is told by the variables of OpenTelemetry, which the exporter reads. */
export class OtlpSpans {
  readonly #processor = new BatchSpanProcessor(new OTLPTraceExporter());
  readonly #resource: Resource;
  readonly #scope: ReadableSpan["instrumentationScope"];

  constructor(about: { readonly version: string; readonly process: string }) {
    this.#resource = resourceFromAttributes({
      "service.name": `headroom-${about.process}`,
      "service.namespace": "headroom",
      "service.version": about.version,
      "process.pid": process.pid,
    });
    this.#scope = { name: "headroom", version: about.version };
  }

  tell(facts: SpanFacts): void {
    this.#processor.onEnd(this.#spanOf(facts));
  }

  /** Sends what is left. */
  close(): Promise<void> {
    return this.#processor.shutdown();
  }

  #spanOf({ name, traceId, spanId, parentId, startMs, endMs, attributes, error }: SpanFacts): ReadableSpan {
    const contextOf = (id: string): SpanContext => ({ traceId, spanId: id, traceFlags: TraceFlags.SAMPLED });
    const own = contextOf(spanId ?? newSpanId());
    const until = Math.max(startMs, endMs);
    return {
      name,
      kind: kinds[name],
      spanContext: () => own,
      ...(parentId !== undefined && { parentSpanContext: contextOf(parentId) }),
      startTime: timeOf(startMs),
      endTime: timeOf(until),
      duration: timeOf(until - startMs),
      status: error === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error },
      attributes: { ...attributes },
      ...{ links: [], events: [], ended: true, resource: this.#resource, instrumentationScope: this.#scope },
      ...{ droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0 },
    };
  }
}

const kinds: Readonly<Record<SpanFacts["name"], SpanKind>> = {
  run: SpanKind.INTERNAL,
  enqueue: SpanKind.PRODUCER,
  wait: SpanKind.CONSUMER,
  governor: SpanKind.INTERNAL,
  spawn: SpanKind.INTERNAL,
  publish: SpanKind.INTERNAL,
};

/** Seconds and nanoseconds. */
function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}
