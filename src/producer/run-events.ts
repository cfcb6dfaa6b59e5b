/** Follows one run through its event stream in Redis. */
import type { Redis } from "ioredis";
import { isTerminal, type RunState } from "../contract/outcomes.ts";
import { keys } from "../contract/queues.ts";
import { driftTargets, type DriftTarget, type RunAnomaly } from "../contract/run-record.ts";
import type { Clock } from "../platform/clock.ts";

/** Something that happened to a run. */
export type RunEvent =
  | { readonly kind: "state"; readonly state: RunState }
  | { readonly kind: "progress"; readonly changes: Readonly<Record<string, number>> }
  /** A process took far more than others of its class. */
  | { readonly kind: "anomaly"; readonly anomaly: RunAnomaly }
  /** The class of the run takes more than all that was learned of it. */
  | { readonly kind: "drift"; readonly target: DriftTarget };

export interface FollowDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Clock;
  /** The state as the record has it: the stream may be gone with a failover. */
  state(runId: string): Promise<RunState>;
}

const BLOCK_MS = 1_000;
const PAGE = 100;
/** An outage shorter than this is ridden out. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 250;

/** What happens to the run from now on, its present state first; ends when the run has ended. */
export async function* followRun(deps: FollowDeps, runId: string, signal?: AbortSignal): AsyncGenerator<RunEvent> {
  const key = keys.events(deps.kp, runId);
  // A blocking read holds its connection: it gets one of its own.
  const reader = deps.redis.duplicate({ maxRetriesPerRequest: null });
  // Its failures are those of the reads below; without a listener an emitted error would end the process.
  reader.on("error", () => undefined);
  const onAbort = () => {
    reader.disconnect();
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    yield* follow({ ...deps, reader, key, signal }, runId);
  } catch (error) {
    // An aborted read fails with the connection's error; the caller is owed the reason of its own signal.
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    reader.disconnect();
  }
}

interface Following extends FollowDeps {
  readonly reader: Redis;
  readonly key: string;
  readonly signal: AbortSignal | undefined;
}

async function* follow(deps: Following, runId: string): AsyncGenerator<RunEvent> {
  const { key, reader, signal } = deps;
  let last = (await deps.redis.xrevrange(key, "+", "-", "COUNT", 1))[0]?.[0] ?? "0";
  let state = await deps.state(runId);
  yield { kind: "state", state };
  while (!isTerminal(state)) {
    signal?.throwIfAborted();
    const page = await patiently(deps, signal, () => read(reader, key, last));
    last = page.last;
    const events = page.events.length > 0 ? page.events : await changeOf(deps, runId, { state, signal });
    for (const event of events) {
      if (event.kind === "state") state = event.state;
      yield event;
    }
  }
}

async function read(reader: Redis, key: string, last: string): Promise<{ last: string; events: RunEvent[] }> {
  const answer = await reader.xread("COUNT", PAGE, "BLOCK", BLOCK_MS, "STREAMS", key, last);
  const entries = answer?.[0]?.[1] ?? [];
  const events = entries.map(([, fields]) => parseEvent(fields)).filter((event) => event !== undefined);
  return { last: entries.at(-1)?.[0] ?? last, events };
}

/** A change of state that no event told of. */
async function changeOf(
  deps: FollowDeps,
  runId: string,
  known: { state: RunState; signal: AbortSignal | undefined },
): Promise<RunEvent[]> {
  const state = await patiently(deps, known.signal, () => deps.state(runId));
  return state === known.state ? [] : [{ kind: "state", state }];
}

/** Repeats what fails, for as long as an outage may last. */
async function patiently<T>(deps: FollowDeps, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const untilMs = deps.clock.monotonicMs() + PATIENCE_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (signal?.aborted === true || deps.clock.monotonicMs() > untilMs) throw error;
      await deps.clock.sleep(RETRY_MS, signal);
    }
  }
}

/** The event in an entry's fields and values, one after the other; undefined for a kind that this version does not know. */
function parseEvent(fields: readonly string[]): RunEvent | undefined {
  const values = new Map<string, string>();
  for (let at = 0; at + 1 < fields.length; at += 2) values.set(fields[at] ?? "", fields[at + 1] ?? "");
  const kind = values.get("kind");
  if (kind === "state") return { kind, state: values.get("state") as RunState };
  if (kind === "progress")
    return { kind, changes: JSON.parse(values.get("changes") ?? "{}") as Record<string, number> };
  if (kind === "anomaly") return { kind, anomaly: JSON.parse(values.get("anomaly") ?? "{}") as RunAnomaly };
  // A worker of an earlier version looks at memory alone, and does not say so.
  if (kind === "drift") return { kind, target: driftTargets.find((one) => one === values.get("target")) ?? "memory" };
  return undefined;
}
