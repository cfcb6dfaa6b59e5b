/** The live side of a run in Redis: spec, state and counters, read and written by every process. */
import type { Redis } from "ioredis";
import type { Outcome, RunState } from "../contract/outcomes.ts";
import { isTerminal, terminalStates } from "../contract/outcomes.ts";
import { keys } from "../contract/queues.ts";
import type { DriftTarget, RunAnomalies, RunAnomaly } from "../contract/run-record.ts";
import { readRunSpec, type RunSpec } from "../contract/run-spec.ts";
import { Script } from "./script.ts";

/** How long the live side of an ended run is kept. The store keeps the rest. */
const KEEP_ENDED_SECONDS = 86_400;
const MAX_RUN_EVENTS = 2_000;
/** Anomalies of a run that are kept one by one. */
const MAX_ANOMALIES = 20;

export interface LiveRun {
  readonly runId: string;
  readonly spec: RunSpec;
  readonly epoch: number;
  readonly state: RunState;
  readonly createdAtMs: number;
}

/** A run as its hash tells of it. */
export interface LoadedRun extends LiveRun {
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  /** Why it is broken or was cancelled. */
  readonly message: string | null;
}

/** Where a run stands. */
export interface RunStage extends Pick<LiveRun, "epoch" | "state"> {
  /** The reason, of a flow whose time is over. */
  readonly timedOut?: string;
}

/** What a worker runs a model on. */
export interface ModelNote {
  readonly sha256: string;
  /** With what of the model it runs, where there is a choice: `cuda (204 of 223 operations, cpu 19)`. */
  readonly provider: string;
  /** Why it runs on no provider that comes first. */
  readonly refusals: readonly string[];
}

export const counterNames = [
  "total",
  "succeeded",
  "failed",
  "skipped",
  "cancelled",
  "quarantined",
  "reused",
  "retried",
  "chunks",
] as const;
export type CounterName = (typeof counterNames)[number];
export type Counters = Readonly<Record<CounterName, number>>;

/** The fields of a hash in which nothing is counted yet. */
export function liveFields({
  spec,
  epoch,
  state,
  createdAtMs,
}: Omit<LiveRun, "runId">): Record<string, string | number> {
  return { spec: JSON.stringify(spec), epoch, state, createdAtMs };
}

/** Reads and writes the hash of one run after the other. */
export class RunHash {
  readonly #redis: Redis;
  readonly #kp: string;

  constructor(redis: Redis, kp: string) {
    this.#redis = redis;
    this.#kp = kp;
  }

  /** Writes the hash of a run that has lost it, with all counters at zero. A new run gets its own with its jobs. */
  async create(run: LiveRun): Promise<void> {
    const key = keys.run(this.#kp, run.runId);
    await this.#redis.multi().del(key).hset(key, liveFields(run)).exec();
  }

  /** Writes the hash of a run that has lost it, unless it is there again; whether it did. */
  async restore(run: LiveRun): Promise<boolean> {
    const fields = Object.entries(liveFields(run)).flat();
    return (await RESTORE.run(this.#redis, [keys.run(this.#kp, run.runId)], fields)) === 1;
  }

  async load(runId: string): Promise<LoadedRun | undefined> {
    const [spec, epoch, state, createdAtMs, startedAtMs, endedAtMs, broken, message] = await this.#redis.hmget(
      keys.run(this.#kp, runId),
      ...["spec", "epoch", "state", "createdAtMs", "startedAtMs", "endedAtMs", "broken", "message"],
    );
    if (spec == null || epoch == null || state == null) return undefined;
    return {
      runId,
      spec: readRunSpec(spec),
      epoch: Number(epoch),
      state: state as RunState,
      createdAtMs: Number(createdAtMs),
      startedAtMs: startedAtMs == null ? null : Number(startedAtMs),
      endedAtMs: endedAtMs == null ? null : Number(endedAtMs),
      message: broken ?? message ?? null,
    };
  }

  /** Where the run stands now. */
  async stage(runId: string): Promise<RunStage | undefined> {
    const [epoch, state, timedOut] = await this.#redis.hmget(keys.run(this.#kp, runId), "epoch", "state", "timedOut");
    if (epoch == null || state == null) return undefined;
    return { epoch: Number(epoch), state: state as RunState, ...(timedOut != null && { timedOut }) };
  }

  async state(runId: string): Promise<RunState | undefined> {
    return ((await this.#redis.hget(keys.run(this.#kp, runId), "state")) ?? undefined) as RunState | undefined;
  }

  /** Whether a run has ended, also by what the store says (`recorded`); undefined when neither knows it. */
  async hasEnded(runId: string, recorded: () => Promise<RunState | undefined>): Promise<boolean | undefined> {
    const live = await this.state(runId);
    if (live !== undefined && isTerminal(live)) return true;
    // The store is told first, and nothing of the run writes from then on; the hash follows a moment later.
    const state = (await recorded()) ?? live;
    return state === undefined ? undefined : isTerminal(state);
  }

  /** When work on the run began, in ms since 1970. */
  async startedAtMs(runId: string): Promise<number | undefined> {
    const text = await this.#redis.hget(keys.run(this.#kp, runId), "startedAtMs");
    return text === null ? undefined : Number(text);
  }

  /** Whether all files of the run are known. */
  async isScanned(runId: string): Promise<boolean> {
    return (await this.#redis.hget(keys.run(this.#kp, runId), "scanned")) === "1";
  }

  async counters(runId: string): Promise<Counters> {
    const values = await this.#redis.hmget(keys.run(this.#kp, runId), ...counterNames);
    return Object.fromEntries(counterNames.map((name, at) => [name, Number(values[at] ?? 0)])) as Record<
      CounterName,
      number
    >;
  }

  /**
   * Sets plain fields, such as `scanned` or `room`. What comes after the run has ended, or was begun anew since `epoch`, is
   * left out; a `total` only grows, for a scan that lost its job may count on beside the one that has it.
   */
  async set(
    { runId, epoch }: Pick<LiveRun, "runId"> & Partial<Pick<LiveRun, "epoch">>,
    fields: Readonly<Record<string, string | number>>,
  ): Promise<void> {
    await SET.run(this.#redis, [keys.run(this.#kp, runId)], [epoch ?? "", ...Object.entries(fields).flat()]);
  }

  /** Notes a process that took far more than others of its class; the first ones by name. */
  async anomaly(runId: string, anomaly: RunAnomaly): Promise<void> {
    const places = [keys.run(this.#kp, runId), keys.events(this.#kp, runId)];
    await NOTE_ANOMALY.run(this.#redis, places, [JSON.stringify(anomaly), MAX_ANOMALIES, MAX_RUN_EVENTS]);
  }

  /** The digest of the model that this epoch of the run keeps to: the first that a worker comes with. */
  async pinModel({ runId, epoch }: Pick<LiveRun, "runId" | "epoch">, sha256: string): Promise<string> {
    return String(await PIN_MODEL.run(this.#redis, [keys.run(this.#kp, runId)], [epoch, sha256]));
  }

  /** Notes on what a worker runs the model of the run. */
  async noteModel(runId: string, workerId: string, note: ModelNote): Promise<void> {
    await this.#redis.hset(keys.run(this.#kp, runId), `model.${workerId}`, JSON.stringify(note));
  }

  /** What the workers of the run have noted of its model. */
  async modelNotes(runId: string): Promise<ModelNote[]> {
    const fields = await this.#redis.hgetall(keys.run(this.#kp, runId));
    return Object.entries(fields).flatMap(([name, text]) =>
      name.startsWith("model.") ? [JSON.parse(text) as ModelNote] : [],
    );
  }

  /** Notes that the class of the run is no longer what it was; one that takes more memory, and is learned anew, is counted. */
  async drift(runId: string, target: DriftTarget): Promise<void> {
    const about = ["kind", "drift", "target", target];
    await this.#redis
      .multi()
      .hincrby(keys.run(this.#kp, runId), "drifts", target === "memory" ? 1 : 0)
      .xadd(keys.events(this.#kp, runId), "MAXLEN", "~", MAX_RUN_EVENTS, "*", ...about)
      .exec();
  }

  async anomalies(runId: string): Promise<RunAnomalies> {
    const names = Array.from({ length: MAX_ANOMALIES }, (_, at) => `anomaly.${at}`);
    const values = await this.#redis.hmget(keys.run(this.#kp, runId), "anomalies", "drifts", ...names);
    const [count, drifts, ...examples] = values;
    return {
      count: Number(count ?? 0),
      drifts: Number(drifts ?? 0),
      examples: examples.flatMap((text) => (text == null ? [] : [JSON.parse(text) as RunAnomaly])),
    };
  }

  /** Moves the run if it is in one of `from`; whether it did. An ended run expires. */
  async move(
    runId: string,
    from: readonly RunState[],
    to: RunState,
    fields: Readonly<Record<string, string | number>> = {},
  ): Promise<boolean> {
    const flat = Object.entries(fields).flatMap(([name, value]) => [name, String(value)]);
    const places = [keys.run(this.#kp, runId), keys.events(this.#kp, runId)];
    const args = [from.join(","), to, isTerminal(to) ? KEEP_ENDED_SECONDS : 0, MAX_RUN_EVENTS, ...flat];
    return (await MOVE.run(this.#redis, places, args)) === 1;
  }

  /** Adds to counters and tells followers. What comes after the run has ended, or was begun anew, is not counted. */
  async count(
    { runId, epoch }: Pick<LiveRun, "runId" | "epoch">,
    changes: Readonly<Partial<Record<CounterName | Outcome, number>>>,
  ): Promise<void> {
    const pairs = Object.entries(changes).filter(([, by]) => by !== 0);
    if (pairs.length === 0) return;
    const places = [keys.run(this.#kp, runId), keys.events(this.#kp, runId)];
    await COUNT.run(this.#redis, places, [epoch, MAX_RUN_EVENTS, JSON.stringify(changes), ...pairs.flat()]);
  }
}

/** Sets a hash that is not there. KEYS[1] hash of the run. ARGV fields and values. Returns 1, or 0 when it is there. */
const RESTORE = new Script(`
if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
redis.call("HSET", KEYS[1], unpack(ARGV))
return 1
`);

/**
 * Adds to the counters of a run and appends a `progress` event. A worker that was stopped for long may come with what it
 * did before: the end of the run has counted that already. KEYS[1] hash of the run. KEYS[2] its event stream. ARGV[1] the
 * epoch that is counted for. ARGV[2] length of the stream. ARGV[3] the changes as JSON. ARGV[4…] counters and amounts.
 */
const COUNT = new Script(
  `
local run = redis.call("HMGET", KEYS[1], "state", "epoch")
if not run[1] or run[2] ~= ARGV[1] or (${JSON.stringify(terminalStates.join(" "))}):find(run[1], 1, true) then return 0 end
for i = 4, #ARGV, 2 do redis.call("HINCRBY", KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call("XADD", KEYS[2], "MAXLEN", "~", ARGV[2], "*", "kind", "progress", "changes", ARGV[3])
return 1
`,
  { whenFull: "runs" },
);

/**
 * Sets fields of a run that goes on; a `total` only if it is more. KEYS[1] hash of the run. ARGV[1] the epoch that it must
 * be in, empty for any. ARGV[2…] fields and values. Returns 1, or 0 when the run has ended, is gone, or was begun anew.
 */
const SET = new Script(
  `
local run = redis.call("HMGET", KEYS[1], "state", "epoch", "total")
if not run[1] or (${JSON.stringify(terminalStates.join(" "))}):find(run[1], 1, true) then return 0 end
if ARGV[1] ~= "" and run[2] ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do
  local is_less = ARGV[i] == "total" and tonumber(run[3] or 0) > tonumber(ARGV[i + 1])
  if not is_less then redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 1
`,
  { whenFull: "runs" },
);

/**
 * Pins the model of a run, once. KEYS[1] hash of the run. ARGV[1] the epoch that the model was loaded for. ARGV[2] its digest.
 * Returns the digest that is pinned; the one that was given where the run is gone, or was begun anew.
 */
const PIN_MODEL = new Script(
  `
local run = redis.call("HMGET", KEYS[1], "epoch", "pinnedModel")
if run[1] ~= ARGV[1] then return ARGV[2] end
if run[2] then return run[2] end
redis.call("HSET", KEYS[1], "pinnedModel", ARGV[2])
return ARGV[2]
`,
  { whenFull: "runs" },
);

/**
 * Counts an anomaly of a run, keeps the first ones, and appends an `anomaly` event. KEYS[1] hash of the run. KEYS[2] its
 * event stream. ARGV[1] the anomaly. ARGV[2] how many are kept. ARGV[3] length of the stream. Returns how many there are.
 */
const NOTE_ANOMALY = new Script(`
local count = redis.call("HINCRBY", KEYS[1], "anomalies", 1)
if count <= tonumber(ARGV[2]) then redis.call("HSET", KEYS[1], "anomaly." .. (count - 1), ARGV[1]) end
redis.call("XADD", KEYS[2], "MAXLEN", "~", ARGV[3], "*", "kind", "anomaly", "anomaly", ARGV[1])
return count
`);

/**
 * Moves a run from one of several states to another, in one step, and appends a `state` event.
 * KEYS[1] hash of the run. KEYS[2] its event stream. ARGV[1] states it may be in, comma-separated. ARGV[2] the new state.
 * ARGV[3] seconds to keep both keys from now, 0 for ever. ARGV[4] length of the stream. ARGV[5…] fields and values to set.
 * Returns 1 when it moved, 0 when the run was in another state, -1 when there is no such run.
 */
const MOVE = new Script(
  `
local state = redis.call("HGET", KEYS[1], "state")
if not state then return -1 end
if not string.find("," .. ARGV[1] .. ",", "," .. state .. ",", 1, true) then return 0 end
redis.call("HSET", KEYS[1], "state", ARGV[2])
for i = 5, #ARGV, 2 do redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call("XADD", KEYS[2], "MAXLEN", "~", ARGV[4], "*", "kind", "state", "state", ARGV[2])
if tonumber(ARGV[3]) > 0 then
  redis.call("EXPIRE", KEYS[1], ARGV[3])
  redis.call("EXPIRE", KEYS[2], ARGV[3])
else
  redis.call("PERSIST", KEYS[1])
  redis.call("PERSIST", KEYS[2])
end
return 1
`,
  { whenFull: "runs" },
);
