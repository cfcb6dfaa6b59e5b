/** The steps of a run as spans of its trace: told when they have ended, with times that were taken anyway. */
import { randomBytes } from "node:crypto";

/** One step. Times in ms since 1970. */
export interface SpanFacts {
  readonly name: "run" | "enqueue" | "wait" | "governor" | "spawn" | "publish";
  readonly traceId: string;
  /** Its own id, where others name it; a new one otherwise. */
  readonly spanId?: string;
  readonly parentId?: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** Why it failed. */
  readonly error?: string;
}

/** Where spans go. */
export interface SpanSink {
  /** Whether anybody takes them: what would only be found out for a span need not be when nobody does. */
  readonly isOn: boolean;
  tell(span: SpanFacts): void;
}

/** Takes nothing. */
export const noSpans: SpanSink = { isOn: false, tell: () => undefined };

/** The id of a span that nobody else has. */
export function newSpanId(): string {
  return randomBytes(8).toString("hex");
}

const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;

/** Whether this can be the id of a trace: those of callers may be anything. */
export function isTraceId(text: string | undefined): text is string {
  return text !== undefined && TRACE_ID.test(text);
}

/** The id of the span that a run is in its trace. It follows from the trace, so that nobody has to hand it on. */
export function runSpanId(traceId: string): string {
  const half = traceId.slice(16);
  return /^0+$/.test(half) ? "0000000000000001" : half;
}
