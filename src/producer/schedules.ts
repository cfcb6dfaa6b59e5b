/** Schedules as callers declare and change them. What they start is the scheduler's business (schedules.ts there). */
import type { Redis } from "ioredis";
import { ConflictError, InvalidInputError, NotFoundError } from "../contract/errors.ts";
import type { RunRequest } from "../contract/run-request.ts";
import { parseRunSpec, placeIn } from "../contract/run-request.ts";
import { namePlaceholders } from "../contract/schedule-names.ts";
import {
  hasOtherTimes,
  nextTimes,
  parseSchedule,
  scheduleName,
  timesOf,
  type ScheduledFlow,
  type ScheduleRecord,
  type ScheduleSpec,
  type ScheduleStatus,
} from "../contract/schedules.ts";
import { showPath } from "../contract/schema-faults.ts";
import type { Clock } from "../platform/clock.ts";
import { publishControl } from "../platform/control.ts";
import type { PolicyGate } from "../platform/policy-gate.ts";
import type { ScheduleChange, Store } from "../store/store.ts";

export interface ScheduleClientDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly store: Store;
  readonly gate: PolicyGate;
  readonly clock: Clock;
}

/** Refuses a run or a flow that may not be. */
export type RunGate = Pick<PolicyGate, "require" | "requireScheduledFlow">;

/** Parts of a schedule that are changed; `run` is replaced as a whole. Null takes a part away. */
export type SchedulePatch = Readonly<Partial<Record<keyof ScheduleSpec, unknown>>>;

/** More schedules would make each round of the leader long. */
const MAX_SCHEDULES = 1_000;
export const MAX_BACKFILL = 10_000;
const SHOWN_NEXT = 5;
const SHOWN_LAST = 20;
/** Other writers of the same schedule, one after the other. */
const TRIES = 5;

export class ScheduleClient {
  readonly #deps: ScheduleClientDeps;

  constructor(deps: ScheduleClientDeps) {
    this.#deps = deps;
  }

  /** In order of their names. */
  async list(): Promise<ScheduleStatus[]> {
    return Promise.all((await this.#deps.store.schedules.list()).map((record) => this.#status(record)));
  }

  /** @throws {NotFoundError} */
  async get(name: string): Promise<ScheduleStatus> {
    return this.#status(await this.#need(name));
  }

  /** `gate` says what its runs may use. @throws {InvalidInputError} {PolicyError}, {ConflictError} when the name is taken */
  async create(name: string, written: unknown, gate: RunGate = this.#deps.gate): Promise<ScheduleStatus> {
    const { store } = this.#deps;
    requireName(name);
    const spec = this.#check(written, gate);
    if ((await store.schedules.list()).length >= MAX_SCHEDULES)
      throw new ConflictError(`expected fewer than ${MAX_SCHEDULES} schedules, found as many: remove one first`);
    const created = await store.schedules.create(name, changeOf(spec, { source: "api", isPaused: false }, this.#nowMs));
    if (!created)
      throw new ConflictError(
        `schedule ${name}: expected a new name, found one that is taken; change that one, or remove it`,
      );
    await this.#tell();
    return this.get(name);
  }

  /** @throws {NotFoundError} {InvalidInputError} {PolicyError}, {ConflictError} when the configuration declares it */
  async change(name: string, patch: SchedulePatch, gate: RunGate = this.#deps.gate): Promise<ScheduleStatus> {
    return this.#write(name, (record) => {
      requireOwn(record, "changed");
      const merged = Object.entries({ ...record.spec, ...patch }).filter(([, value]) => value !== null);
      const spec = this.#check(Object.fromEntries(merged), gate);
      const isNew = hasOtherTimes(record.spec, spec);
      return changeOf(spec, record, this.#nowMs, isNew);
    });
  }

  /** Times that come while it is paused are neither started nor missed. @throws {NotFoundError} */
  async pause(name: string): Promise<ScheduleStatus> {
    return this.#write(name, (record) => changeOf(record.spec, { ...record, isPaused: true }, this.#nowMs, false));
  }

  /** @throws {NotFoundError}, {ConflictError} when the configuration pauses it */
  async resume(name: string): Promise<ScheduleStatus> {
    return this.#write(name, (record) => {
      if (record.source === "config" && record.spec.paused)
        throw new ConflictError(
          `schedule ${name}: expected one that the configuration does not pause; change it there`,
        );
      const isNew = record.isPaused || record.spec.paused;
      const spec = { ...record.spec, paused: false };
      return changeOf(spec, { ...record, isPaused: false }, this.#nowMs, isNew);
    });
  }

  /** Its runs stay. @throws {NotFoundError}, {ConflictError} when the configuration declares it */
  async remove(name: string): Promise<void> {
    requireOwn(await this.#need(name), "removed");
    await this.#deps.store.schedules.remove(name);
    await this.#tell();
  }

  /**
   * Makes the times from one to another due, to be run one after the other; how many, and how many there are. Times that
   * were started already are left alone. @throws {NotFoundError} {InvalidInputError}
   */
  async backfill(name: string, range: { fromMs: number; toMs: number }): Promise<{ times: number; added: number }> {
    const { spec } = await this.#need(name);
    const times = backfillTimes(spec, range, this.#nowMs);
    const added = await this.#deps.store.schedules.backfill(name, times, this.#nowMs);
    await this.#tell();
    return { times: times.length, added };
  }

  get #nowMs(): number {
    return this.#deps.clock.nowMs();
  }

  async #status(record: ScheduleRecord): Promise<ScheduleStatus> {
    const last = await this.#deps.store.schedules.starts(record.name, SHOWN_LAST);
    const isPaused = record.isPaused || record.spec.paused;
    return { ...record, isPaused, nextMs: isPaused ? [] : nextTimes(record.spec, this.#nowMs, SHOWN_NEXT), last };
  }

  async #need(name: string): Promise<ScheduleRecord> {
    const record = await this.#deps.store.schedules.get(name);
    if (record === undefined) throw new NotFoundError("schedule", name);
    return record;
  }

  /** Writes what `change` makes of the schedule as it is. */
  async #write(name: string, change: (record: ScheduleRecord) => ScheduleChange): Promise<ScheduleStatus> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const record = await this.#need(name);
      if (!(await this.#deps.store.schedules.change(name, record.revision, change(record)))) continue;
      await this.#tell();
      return this.get(name);
    }
    throw new ConflictError(`schedule ${name}: expected it to stay as it is for a moment, found others changing it`);
  }

  #check(written: unknown, gate: RunGate): ScheduleSpec {
    const spec = parseSchedule(written);
    if (spec.flow !== undefined) {
      gate.requireScheduledFlow(namePlaceholders(spec.flow, spec.time_zone, this.#nowMs) as ScheduledFlow);
      return spec;
    }
    const run = namePlaceholders(spec.run, spec.time_zone, this.#nowMs) as RunRequest;
    gate.require(parseRunSpec(run), (path) => `run.${showPath(placeIn(spec.run, path))}`);
    return spec;
  }

  /** The leader looks again at once; should it miss this, it does within a round. */
  #tell(): Promise<void> {
    return publishControl(this.#deps.redis, this.#deps.kp, { kind: "schedules" });
  }
}

function changeOf(
  spec: ScheduleSpec,
  { source, isPaused }: Pick<ScheduleRecord, "source" | "isPaused">,
  nowMs: number,
  isNew = true,
): ScheduleChange {
  return { spec, source, isPaused, nowMs, ...(isNew && { settledMs: nowMs }) };
}

function requireName(name: string): void {
  const parsed = scheduleName.safeParse(name);
  if (parsed.success) return;
  const expected = parsed.error.issues[0]?.message ?? "a name";
  throw new InvalidInputError("schedule", [{ where: "name", expected, found: JSON.stringify(name) }]);
}

function requireOwn({ name, source }: ScheduleRecord, verb: string): void {
  if (source === "api") return;
  throw new ConflictError(
    `schedule ${name}: expected one that no configuration declares, found one of the scheduler's configuration, where it can be ${verb}`,
  );
}

function backfillTimes(
  spec: ScheduleSpec,
  { fromMs, toMs }: { fromMs: number; toMs: number },
  nowMs: number,
): number[] {
  const refuse = (where: string, expected: string, found: string): never => {
    throw new InvalidInputError("backfill", [{ where, expected, found }]);
  };
  const show = (timeMs: number) => new Date(timeMs).toISOString();
  if (fromMs > toMs) refuse("from", `a time before ${show(toMs)}`, show(fromMs));
  if (toMs > nowMs) refuse("to", "a time in the past", show(toMs));
  const times: number[] = [];
  for (const time of timesOf(spec).after(fromMs - 1)) {
    if (time > toMs) break;
    if (times.length >= MAX_BACKFILL) refuse("from", `at most ${MAX_BACKFILL} times in the range`, "more");
    times.push(time);
  }
  return times;
}
