/** The metrics of one process, made from the table: a name or label that is not in it does not compile. */
import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  Registry,
  type OpenMetricsContentType,
  type PrometheusContentType,
} from "prom-client";
import { metricTable, type LabelOf, type MetricName, type MetricNameOf } from "../contract/metric-names.ts";
import { metricZeros, type ProcessKind } from "../contract/metric-zeros.ts";
import type { MetricDefinition } from "../contract/metric-definition.ts";
import { within } from "./answer-within.ts";
import { EventLoopLag } from "./event-loop-lag.ts";
import type { Service } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";
import { noSpans, type SpanSink } from "./spans.ts";
import { currentTraceId } from "./trace.ts";

export interface BuildFacts {
  readonly version: string;
  /** Which process this is: one of a cluster, or `up` and `run`, which are all in one. */
  readonly process: ProcessKind | "up" | "run";
}

interface ZeroRow {
  readonly by: readonly ProcessKind[];
  readonly series: readonly Readonly<Record<string, string>>[];
}

/** What is told beside the figures. */
export interface MetricsOptions {
  /** Where the steps of runs go; nowhere by default. With it, histograms name the trace of a sample (exemplars). */
  readonly spans?: SpanSink;
}

/**
 * A scrape waits for its collectors, and ends after ten seconds. What is read from a Redis that hangs takes as long: then the
 * process would count as gone, just when it tells of that Redis.
 */
const COLLECT_MS = 5_000;

/** The label by which an exemplar names its trace: links from dashboards go by it. */
export const TRACE_LABEL = "trace_id";

/** One registry with every metric of the table, the default process metrics, and the event loop's lag. */
export class Metrics implements Service {
  readonly registry = new Registry<PrometheusContentType | OpenMetricsContentType>();
  /** The steps of runs, for those who look at single ones. */
  readonly spans: SpanSink;
  /** The event loop's lag as it is exposed, for checks that need it too. */
  readonly eventLoopLag = new EventLoopLag();
  readonly #byName = new Map<MetricName, unknown>();
  readonly #collectors: (() => void | Promise<void>)[] = [];
  readonly #logger: Logger;

  constructor(build: BuildFacts, logger: Logger, { spans = noSpans }: MetricsOptions = {}) {
    this.#logger = logger;
    this.spans = spans;
    // Only the text of OpenMetrics has room for exemplars.
    if (spans.isOn) this.registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    for (const name of Object.keys(metricTable) as MetricName[]) this.#byName.set(name, this.#create(name));
    this.#setZeros(build.process);
    this.gauge("headroom_build_info").set({ ...build, node: process.version }, 1);
    this.onCollect(() => {
      const lag = this.gauge("headroom_event_loop_lag_seconds");
      const { p50Seconds, p99Seconds, maxSeconds } = this.eventLoopLag.quantiles();
      lag.set({ quantile: "0.5" }, p50Seconds);
      lag.set({ quantile: "0.99" }, p99Seconds);
      lag.set({ quantile: "1" }, maxSeconds);
    });
  }

  counter<N extends MetricNameOf<"counter">>(name: N): Counter<LabelOf<N>> {
    return this.#byName.get(name) as Counter<LabelOf<N>>;
  }

  gauge<N extends MetricNameOf<"gauge">>(name: N): Gauge<LabelOf<N>> {
    return this.#byName.get(name) as Gauge<LabelOf<N>>;
  }

  histogram<N extends MetricNameOf<"histogram">>(name: N): Histogram<LabelOf<N>> {
    return this.#byName.get(name) as Histogram<LabelOf<N>>;
  }

  /** Runs `collect` before each exposition: for gauges that are read from somewhere when asked for. */
  onCollect(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /**
   * The exposition text. A collector that fails, or is late, leaves its gauges as they were: the other metrics matter most
   * just then.
   */
  async expose(): Promise<string> {
    const results = await Promise.allSettled(
      this.#collectors.map(async (collect) => within(Promise.resolve(collect()), COLLECT_MS)),
    );
    for (const result of results) {
      if (result.status === "rejected") this.#logger.warn({ err: result.reason as unknown }, "metrics not collected");
    }
    return this.registry.metrics();
  }

  async start(): Promise<void> {
    if (this.registry.getSingleMetric("process_cpu_seconds_total") === undefined) {
      collectDefaultMetrics({ register: this.registry });
    }
    await this.eventLoopLag.start();
  }

  stop(): Promise<void> {
    return this.eventLoopLag.stop();
  }

  #setZeros(process: BuildFacts["process"]): void {
    for (const [name, { by, series }] of Object.entries<ZeroRow>(metricZeros)) {
      if (process !== "up" && process !== "run" && !by.includes(process)) continue;
      // Which labels belong to which name is checked where the table is.
      const counter = this.#byName.get(name as MetricName) as Counter;
      for (const labels of series) counter.inc(labels, 0);
    }
  }

  #create(name: MetricName): unknown {
    const definition: MetricDefinition = metricTable[name];
    const options = { name, help: definition.help, labelNames: [...definition.labels], registers: [this.registry] };
    if (definition.type === "counter") return new Counter(options);
    if (definition.type === "gauge") {
      const gauge = new Gauge(options);
      // One without labels begins as 0, which would be a measurement that nobody made: most processes never set most gauges.
      if (definition.labels.length === 0) gauge.remove();
      return gauge;
    }
    const buckets = definition.buckets && { buckets: [...definition.buckets] };
    return this.spans.isOn
      ? namingTraces(new Histogram({ ...options, ...buckets, enableExemplars: true }))
      : new Histogram({ ...options, ...buckets });
  }
}

/** Observes as before, and keeps the trace of the work at hand with the sample. */
function namingTraces(histogram: Histogram): Histogram {
  const withExemplar = histogram.observe.bind(histogram) as unknown as (sample: object) => void;
  const observe = (labels: object, value: number): void => {
    const traceId = currentTraceId();
    withExemplar({ labels, value, ...(traceId !== undefined && { exemplarLabels: { [TRACE_LABEL]: traceId } }) });
  };
  return Object.assign(histogram, { observe });
}
