/** The steps of a flow that are no work: its begin, the instances of a large fan-out, the answer at a gate, the end of its time. */
import { unrunEnd, type NodeEnd } from "../../../contract/flow-run.ts";
import { breakRun, endByTime } from "../../../platform/cancel-run.ts";
import type { GateAnswer } from "../../../platform/flow/flow-state.ts";
import type { Clock } from "../../../platform/clock.ts";
import type { FlowAdvance } from "../../../platform/flow/advance.ts";
import type { JobQueues, RunRef } from "../../../platform/job-queues.ts";
import type { PolicyGate } from "../../../platform/policy-gate.ts";
import type { LiveRun, RunHash } from "../../../platform/run-hash.ts";
import type { FlowRuns } from "../../flow-runs.ts";
import type { OutputClaims } from "../../output-claims.ts";
import type { RunCache } from "../../run-cache.ts";
import type { Handler } from "../executor.ts";
import type { Redis } from "ioredis";

export interface ForkDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Clock;
  readonly hash: RunHash;
  readonly runs: RunCache;
  readonly queues: JobQueues;
  readonly gate: PolicyGate;
  readonly claims: OutputClaims;
  readonly flows: FlowRuns;
}

/** Instances of a fan-out that may wait or run at a time. */
const WINDOW = 2_000;
const ADD_AT_ONCE = 500;
const POLL_MS = 10;
const MAX_POLL_MS = 250;

export function createForkHandler(deps: ForkDeps): Handler<"fork"> {
  return async (payload, { signal, job }) => {
    const { run, isWanted } = await deps.runs.open(payload.runId, payload.epoch);
    const flow = deps.flows.of(run);
    switch (payload.step) {
      case "begin":
        await deps.flows.restore(run);
        if (isWanted) await begin(deps, run, flow);
        return;
      case "deadline":
        if (isWanted) await endByTime(deps, run, await reasonOf(flow));
        return;
      case "expand":
        if (isWanted) await expand(deps, { flow, ref: payload, signal }, payload.path);
        return;
      case "gate": {
        const answer = await flow.state.answerAt(payload.path);
        const startedAtMs = job.timestamp;
        const took = { startedAtMs, durationMs: Math.max(0, deps.clock.nowMs() - startedAtMs) };
        await flow.endWithRow({ path: payload.path, end: gateEnd(answer, isWanted) }, took);
      }
    }
  };
}

async function begin(deps: ForkDeps, run: LiveRun, flow: FlowAdvance): Promise<void> {
  await deps.runs.ensureRow(run);
  if (deps.gate.writeFault(run.spec.output.root) === undefined) {
    const taken = await deps.claims.hold(run);
    if (taken !== undefined) {
      await breakRun(deps, run.runId, taken);
      return;
    }
  }
  await deps.runs.markRunning(run);
  const { timeoutMs } = await flow.about();
  if (timeoutMs !== undefined) {
    const { runId, epoch, spec } = run;
    const nowMs = deps.clock.nowMs();
    const dueAtMs = ((await deps.runs.startedAtMs(run)) ?? nowMs) + timeoutMs;
    await deps.queues.addDeadline({ runId, epoch, traceId: spec.traceId ?? runId }, spec, dueAtMs - nowMs);
  }
  await flow.begin();
}

async function reasonOf(flow: FlowAdvance): Promise<string> {
  return `the flow was to take ${((await flow.about()).timeoutMs ?? 0) / 1_000} s at most (timeout_seconds)`;
}

interface Expansion {
  readonly flow: FlowAdvance;
  readonly ref: RunRef;
  readonly signal: AbortSignal;
}

/** Adds the instances of a fan-out, a window at a time, so that Redis stays small however many there are. */
async function expand(deps: ForkDeps, { flow, ref, signal }: Expansion, id: string): Promise<void> {
  const items = (await flow.state.items(id)) ?? [];
  let from = 0;
  for (let pollMs = POLL_MS; from < items.length;) {
    signal.throwIfAborted();
    const open = from - (items.length - (await flow.state.leftOf(id)));
    if (open > WINDOW - ADD_AT_ONCE) {
      await deps.clock.sleep(pollMs, signal);
      pollMs = Math.min(2 * pollMs, MAX_POLL_MS);
      if (await deps.runs.isCancelled(ref.runId, ref.epoch)) break;
      continue;
    }
    pollMs = POLL_MS;
    const to = Math.min(from + ADD_AT_ONCE, items.length);
    await flow.addInstances(id, from, to);
    from = to;
  }
}

function gateEnd(answer: GateAnswer | undefined, isWanted: boolean): NodeEnd {
  if (answer === undefined) {
    return isWanted
      ? unrunEnd("failed", "nobody answered in time", "timeout")
      : unrunEnd("cancelled", "the run was cancelled before anybody answered", "cancelled");
  }
  const note = answer.note === null ? "" : `: ${answer.note}`;
  return answer.isApproved
    ? unrunEnd("succeeded", `approved by ${answer.by}${note}`)
    : unrunEnd("failed", `refused by ${answer.by}${note}`, "policy");
}
