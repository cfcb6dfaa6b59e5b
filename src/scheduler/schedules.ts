/**
 * Starts the runs of schedules, each time once.
 *
 * A time goes through the store: `settle` notes the times that came and how far they are settled, in one step; a time that
 * is `due` is started under an idempotency key made of the schedule and the time, then marked. A leader that dies between
 * the two leaves it due, and the next one finds the run under its key instead of starting another. What a leader writes
 * carries the token of its term.
 */
import type { Redis } from "ioredis";
import { ConflictError, isPassing, lineOf } from "../contract/errors.ts";
import { isTerminal } from "../contract/outcomes.ts";
import type { RunRecord } from "../contract/run-record.ts";
import type { RunRequest } from "../contract/run-request.ts";
import { namePlaceholders } from "../contract/schedule-names.ts";
import { nextTimes, type ScheduledFlow, type ScheduleRecord } from "../contract/schedules.ts";
import { assertNever } from "../platform/assert.ts";
import { requestCancel } from "../platform/cancel-run.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { RunHash } from "../platform/run-hash.ts";
import type { DueHead, StartEnd, Store } from "../store/store.ts";
import { decideNewStarts, decideStart, jitterOf, startKey, type GoingRun } from "./schedule-decisions.ts";
import type { ScheduleAlarm } from "./schedule-alarm.ts";
import type { Term } from "./term.ts";

/** Starts what a schedule asks for. */
export interface Starter {
  /** Starts a run, or finds the one that was started under this key. */
  startRun(request: RunRequest, key: string): Promise<RunRecord>;
  /** The same for a flow, whose file is read now. */
  startFlow(flow: ScheduledFlow, key: string): Promise<RunRecord>;
}

export interface ScheduleDeps {
  /** The connection of the term. */
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly hash: RunHash;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly starter: Starter;
  /** Without one, a time is found within a round. */
  readonly alarm?: Pick<ScheduleAlarm, "set">;
  readonly term: Pick<Term, "token" | "require">;
}

/** Times of one schedule that are dealt with in one round. */
const STARTS_PER_ROUND = 100;
/** What became of times is kept for so many, and at least for the last that were started. */
const KEEP_STARTS = 500;
/** Runs of a schedule that may go on, of those started last. */
const LOOKED_BACK = 5;

/** One round over all schedules; how many runs it started. */
export async function runSchedules(deps: ScheduleDeps, next: NextTimes): Promise<number> {
  const schedules = await deps.store.schedules.list();
  for (const schedule of schedules) {
    if (!isPaused(schedule) && next.isDue(schedule, deps.clock.nowMs())) await settle(deps, schedule);
  }
  const heads = await deps.store.schedules.dueHeads();
  const byName = new Map(schedules.map((schedule) => [schedule.name, schedule]));
  let started = 0;
  for (const name of new Set(heads.map((head) => head.name))) {
    const schedule = byName.get(name);
    if (schedule !== undefined)
      started += await startDue(
        deps,
        schedule,
        heads.find((head) => head.name === name),
      );
  }
  await deps.alarm?.set(schedules.filter((schedule) => !isPaused(schedule)));
  return started;
}

/** Paused by its specification, or by a person. */
function isPaused({ isPaused, spec }: ScheduleRecord): boolean {
  return isPaused || spec.paused;
}

/** When each schedule is due next, so that most rounds compute nothing. */
export class NextTimes {
  readonly #next = new Map<string, { readonly of: string; readonly timeMs: number }>();

  isDue({ name, spec, revision, settledMs }: ScheduleRecord, nowMs: number): boolean {
    const of = `${revision} ${settledMs}`;
    let known = this.#next.get(name);
    if (known?.of !== of) {
      known = { of, timeMs: nextTimes(spec, settledMs, 1)[0] ?? Infinity };
      this.#next.set(name, known);
    }
    return known.timeMs <= nowMs;
  }
}

async function settle(deps: ScheduleDeps, schedule: ScheduleRecord): Promise<void> {
  const { store, clock, term, logger, metrics } = deps;
  const { name, spec, revision, settledMs } = schedule;
  const nowMs = clock.nowMs();
  const waiting = spec.overlap === "queue" ? await store.schedules.countDue(name) : 0;
  const starts = decideNewStarts(spec, { settledMs, nowMs, waiting });
  term.require();
  const rows = starts.map((start) => ({ ...start, runId: null, atMs: nowMs, term: term.token }));
  if (!(await store.schedules.settle({ name, revision, term: term.token }, nowMs, rows))) return;
  for (const { state, timeMs, message } of starts) {
    if (state !== "skipped") continue;
    logger.warn({ schedule: name, timeMs, message }, "time of a schedule skipped");
    metrics.counter("headroom_schedule_starts_total").inc({ result: "skipped" });
  }
  await store.schedules.trim(name, KEEP_STARTS);
}

/** Deals with the times of one schedule that are due, as far as it goes now; how many runs it started. */
async function startDue(deps: ScheduleDeps, schedule: ScheduleRecord, first: DueHead | undefined): Promise<number> {
  let started = 0;
  let head = first;
  for (let round = 0; round < STARTS_PER_ROUND && head !== undefined; round += 1) {
    const end = await dealWith(deps, schedule, head);
    if (end === "wait") break;
    deps.term.require();
    const fence = { name: schedule.name, term: deps.term.token };
    if (!(await deps.store.schedules.mark(fence, head.timeMs, { ...end, atMs: deps.clock.nowMs() }))) break;
    tell(deps, head, end);
    if (end.state === "started") started += 1;
    head = (await deps.store.schedules.dueHeads()).find(({ name }) => name === schedule.name);
  }
  return started;
}

function tell({ logger, metrics }: ScheduleDeps, { name, timeMs }: DueHead, { state, runId, message }: StartEnd): void {
  metrics.counter("headroom_schedule_starts_total").inc({ result: state });
  const fields = { schedule: name, timeMs, runId, message };
  if (state === "started") logger.info(fields, "run of a schedule started");
  else if (state === "skipped") logger.warn(fields, "time of a schedule skipped");
  else logger.error(fields, "run of a schedule refused");
}

/** What becomes of a time that is due, the run started if it is to be. */
async function dealWith(deps: ScheduleDeps, schedule: ScheduleRecord, head: DueHead): Promise<StartEnd | "wait"> {
  const { name, spec } = schedule;
  const key = startKey(name, head.timeMs);
  // Begun by a leader that died before it could say so.
  const begun = await deps.store.runs.findByIdempotencyKey(key);
  if (begun !== undefined) return { state: "started", runId: begun.id };
  if (isPaused(schedule)) return "wait";
  if (!head.isBackfill && deps.clock.nowMs() < head.timeMs + jitterOf(spec, name, head.timeMs)) return "wait";
  const decision = decideStart({ overlap: spec.overlap, isBackfill: head.isBackfill }, await goingRun(deps, name));
  switch (decision.kind) {
    case "start":
      return start(deps, schedule, { ...head, key });
    case "skip":
      return { state: "skipped", message: decision.message };
    case "cancel":
      deps.term.require();
      await requestCancel(deps, decision.runId, `the next time of schedule ${name} came`);
      return "wait";
    case "wait":
      return "wait";
    default:
      return assertNever(decision);
  }
}

/** The run of an earlier time that has not ended. */
async function goingRun({ store }: ScheduleDeps, name: string): Promise<GoingRun | undefined> {
  for (const { runId, isBackfill } of await store.schedules.lastStarted(name, LOOKED_BACK)) {
    const run = runId === null ? undefined : await store.runs.get(runId);
    if (run !== undefined && !isTerminal(run.state)) return { runId: run.id, isBackfill };
  }
  return undefined;
}

async function start(
  deps: ScheduleDeps,
  { name, spec }: ScheduleRecord,
  { timeMs, isBackfill, key }: DueHead & { readonly key: string },
): Promise<StartEnd | "wait"> {
  const { run, flow, time_zone: zone } = spec;
  deps.term.require();
  try {
    const { id } =
      flow === undefined
        ? await startRun(deps.starter, { name, request: namePlaceholders(run ?? {}, zone, timeMs) as RunRequest, key })
        : await deps.starter.startFlow(namePlaceholders(flow, zone, timeMs) as ScheduledFlow, key);
    return { state: "started", runId: id };
  } catch (error) {
    if (isPassing(error)) throw error;
    if (!(error instanceof ConflictError)) return { state: "refused", message: lineOf(error) };
    // Another run writes to the output folder: that is an overlap as well, with one that is not ours to cancel.
    if (spec.overlap === "skip" && !isBackfill) return { state: "skipped", message: lineOf(error) };
    return "wait";
  }
}

function startRun(
  starter: Starter,
  { name, request, key }: { readonly name: string; readonly request: RunRequest; readonly key: string },
): Promise<RunRecord> {
  return starter.startRun({ ...request, name: request.name ?? name }, key);
}
