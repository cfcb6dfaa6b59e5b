/** Starts what a request asks for, once for each Idempotency-Key, and only while the cluster has room for it. */
import type { Request } from "express";
import { BacklogFullError } from "../contract/errors.ts";
import type { RunRecord } from "../contract/run-record.ts";
import { isTraceId, runSpanId, type SpanSink } from "../platform/spans.ts";
import type { Claim } from "./idempotency.ts";
import { decideIntake, refusalWords } from "./intake.ts";
import type { RouteDeps } from "./route-parts.ts";
import { parseIdempotencyKey } from "./run-requests.ts";

type Key = { readonly idempotencyKey?: string };
type Started = RunRecord | { readonly run: RunRecord; readonly created: boolean };

/** The run of the request: started now by `start`, or earlier. */
export async function startOnce(
  deps: RouteDeps,
  maxWaiting: number,
  req: Request,
  start: (key: Key) => Promise<Started>,
): Promise<{ readonly run: RunRecord; readonly created: boolean }> {
  const key = parseIdempotencyKey(req);
  const body: unknown = req.body;
  const claim: Claim = key === undefined ? { kind: "first" } : await deps.idempotency.claim(key, body);
  if (claim.kind === "repeated" && claim.runId !== undefined) {
    return { run: await deps.client.status(claim.runId), created: false };
  }
  try {
    // A repeated request asks for a run that was let in already.
    if (claim.kind === "first") await checkIntake(deps, maxWaiting);
    const startMs = Date.now();
    const started = await start(key === undefined ? {} : { idempotencyKey: key });
    const { run, created } = "run" in started ? started : { run: started, created: claim.kind === "first" };
    tellEnqueued(deps.metrics.spans, run, startMs);
    if (key !== undefined) await deps.idempotency.settle(key, body, run.id);
    return { run, created };
  } catch (error) {
    if (key !== undefined && claim.kind === "first") await deps.idempotency.release(key);
    throw error;
  }
}

function tellEnqueued(spans: SpanSink, { id, spec: { traceId } }: RunRecord, startMs: number): void {
  if (!spans.isOn || !isTraceId(traceId)) return;
  const parentId = runSpanId(traceId);
  spans.tell({ name: "enqueue", traceId, parentId, startMs, endMs: Date.now(), attributes: { "headroom.run.id": id } });
}

async function checkIntake({ client, metrics }: RouteDeps, maxWaiting: number): Promise<void> {
  const facts = { ...(await client.backlog()), maxWaiting };
  const decision = decideIntake(facts);
  if (decision.kind === "accept") return;
  metrics.counter("headroom_intake_refused_total").inc({ reason: decision.reason });
  throw new BacklogFullError(refusalWords(decision.reason, facts), decision.retryAfterSeconds);
}
