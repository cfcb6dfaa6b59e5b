/**
 * Runs one probe: when it is due, off the tick when it asks for that, and never to anybody's harm.
 *
 * States: `waiting` (asked for the first time, no answer yet) → `reading`; `absent` (nothing of the kind here, looked for
 * again now and then); `degraded` (it was there and cannot be read, does not answer in time, or its last reading is too
 * old): said with the reason, and tried again, each time after twice the pause. Nothing is ever thrown out of here.
 */
import { messageOf } from "../../../contract/errors.ts";
import type { BackgroundProbe, InlineProbe, Probe } from "./probe.ts";

export interface ProbeStatus {
  readonly name: string;
  readonly state: "waiting" | "reading" | "absent" | "degraded";
  /** Why it is degraded, or what is amiss though it reads. */
  readonly reason: string | undefined;
  /** Time from asking to the answer, of the last reading. */
  readonly costMs: number | undefined;
}

/** Limits, quotas and places can be changed at run time, and what was absent may come. */
const REOPEN_MS = 5_000;
const ABSENT_MS = 30_000;
const FIRST_PAUSE_MS = 1_000;
const INLINE_LONGEST_PAUSE_MS = 5_000;
const BACKGROUND_LONGEST_PAUSE_MS = 60_000;

interface Attempt {
  readonly startedAtMs: number;
  readonly abort: AbortController;
  isOverdue: boolean;
  isLate: boolean;
}

export class ProbeRunner<Reading> {
  readonly #probe: Probe<Reading>;
  #isOpen = false;
  #openedAtMs = -Infinity;
  #dueAtMs = -Infinity;
  #failures = 0;
  #fault: string | undefined;
  #last: { readonly value: Reading; readonly atMs: number } | undefined;
  #attempt: Attempt | undefined;
  #costMs: number | undefined;
  #hasAnswered = false;
  #isNew = false;

  constructor(probe: Probe<Reading>) {
    this.#probe = probe;
  }

  get name(): string {
    return this.#probe.name;
  }

  /** Takes a reading when one is due, or begins to. Whether there is a newer one than at the last call. */
  poll(nowMs: number): boolean {
    if (this.#probe.mode === "background") this.#pollBackground(this.#probe, nowMs);
    else if (this.#isDue(nowMs)) this.#readInline(this.#probe, nowMs);
    const isNew = this.#isNew;
    this.#isNew = false;
    return isNew;
  }

  /** The last reading; undefined when there is none, or none that is fresh enough. */
  latest(nowMs: number): Reading | undefined {
    return this.#isFresh(nowMs) ? this.#last?.value : undefined;
  }

  status(nowMs: number): ProbeStatus {
    const { name, caveat } = this.#probe;
    const about = { name, costMs: this.#costMs };
    if (this.#fault !== undefined) return { ...about, state: "degraded", reason: this.#fault };
    if (!this.#hasAnswered) return { ...about, state: "waiting", reason: undefined };
    if (!this.#isOpen) return { ...about, state: "absent", reason: undefined };
    if (this.#last !== undefined && !this.#isFresh(nowMs)) {
      const reason = `expected a reading every ${this.#probe.periodMs} ms, the last one is ${Math.round(nowMs - this.#last.atMs)} ms old`;
      return { ...about, state: "degraded", reason };
    }
    return { ...about, state: "reading", reason: caveat };
  }

  close(): void {
    this.#attempt?.abort.abort();
    this.#attempt = undefined;
    this.#isOpen = false;
    this.#last = undefined;
    this.#openedAtMs = this.#dueAtMs = -Infinity;
    try {
      this.#probe.close();
    } catch (error) {
      this.#fault = messageOf(error);
    }
  }

  #isFresh(nowMs: number): boolean {
    return this.#last !== undefined && Math.abs(nowMs - this.#last.atMs) <= this.#probe.staleMs;
  }

  /** A clock that went back is no reason to wait until it has caught up. */
  #isDue(nowMs: number): boolean {
    return nowMs >= this.#dueAtMs || this.#dueAtMs - nowMs > BACKGROUND_LONGEST_PAUSE_MS;
  }

  #readInline(probe: InlineProbe<Reading>, nowMs: number): void {
    const startedMs = performance.now();
    try {
      if (this.#mustOpen(nowMs)) this.#isOpen = probe.open();
      if (this.#isOpen) this.#last = { value: probe.read(), atMs: nowMs };
      this.#succeeded(nowMs, performance.now() - startedMs);
    } catch (error) {
      this.#failed(nowMs, messageOf(error));
    }
  }

  #pollBackground(probe: BackgroundProbe<Reading>, nowMs: number): void {
    const attempt = this.#attempt;
    if (attempt !== undefined && !attempt.isLate && nowMs - attempt.startedAtMs >= probe.limitMs) {
      // After a moment in which this thread itself was held up the answer may lie there unread: judge at the next turn.
      if (attempt.isOverdue) {
        attempt.isLate = true;
        attempt.abort.abort();
        this.#failed(nowMs, `expected an answer within ${probe.limitMs} ms, found none`);
      }
      attempt.isOverdue = true;
    }
    if (this.#isDue(nowMs) && (attempt === undefined || attempt.isLate)) void this.#readBackground(probe, nowMs);
  }

  async #readBackground(probe: BackgroundProbe<Reading>, nowMs: number): Promise<void> {
    const attempt: Attempt = { startedAtMs: nowMs, abort: new AbortController(), isOverdue: false, isLate: false };
    this.#attempt = attempt;
    const startedMs = performance.now();
    try {
      const isOpen = this.#mustOpen(nowMs) ? await probe.open() : this.#isOpen;
      const value = isOpen ? await probe.read(attempt.abort.signal) : undefined;
      // An answer that came too late, or after the end, is nobody's any more: another attempt may be under way.
      if (this.#attempt !== attempt) return;
      this.#isOpen = isOpen;
      // As fresh as the moment in which it was asked for: what the answer describes is not older.
      if (value !== undefined) this.#last = { value, atMs: nowMs };
      this.#succeeded(nowMs, performance.now() - startedMs);
    } catch (error) {
      if (this.#attempt === attempt && !attempt.isLate) this.#failed(nowMs, messageOf(error));
    } finally {
      if (this.#attempt === attempt) this.#attempt = undefined;
    }
  }

  #mustOpen(nowMs: number): boolean {
    const isDue = !this.#isOpen || Math.abs(nowMs - this.#openedAtMs) >= REOPEN_MS;
    if (isDue) this.#openedAtMs = nowMs;
    return isDue;
  }

  #succeeded(nowMs: number, costMs: number): void {
    this.#hasAnswered = true;
    this.#fault = undefined;
    this.#failures = 0;
    this.#costMs = costMs;
    this.#isNew = this.#isOpen;
    if (!this.#isOpen) this.#last = undefined;
    // Sensors that are looked for off the tick, such as chips, hardly ever come, and looking for them is dear.
    const absentMs = this.#probe.mode === "inline" ? REOPEN_MS : ABSENT_MS;
    this.#dueAtMs = nowMs + (this.#isOpen ? this.#probe.periodMs : Math.max(absentMs, this.#probe.periodMs));
  }

  #failed(nowMs: number, reason: string): void {
    this.#isOpen = false;
    this.#fault = reason;
    const longestMs = this.#probe.mode === "inline" ? INLINE_LONGEST_PAUSE_MS : BACKGROUND_LONGEST_PAUSE_MS;
    this.#dueAtMs = nowMs + Math.min(longestMs, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures += 1;
    // What was read before still holds until it is stale, but where the probe is read at each turn that is at once.
    if (this.#probe.periodMs === 0) this.#last = undefined;
  }
}
