/** What few jobs say of the next one. Pure. */
import type { RecentJob } from "./class-state.ts";

/** As many of the last jobs are asked. */
const ASKED = 8;
/** One job says little of an input many times as large: not more than this times the largest that was seen. */
const MAX_GROWTH = 1.5;
const LINE_SLACK = 1.25;

/** The fewer were seen, the likelier that the next one is larger than all of them. */
export function doubt(samples: number): number {
  return 1 + 0.5 / Math.sqrt(Math.max(1, samples));
}

/**
 * Peak memory that a job may come to: the largest of the last ones, and more for a larger input; `line` is what a
 * regression says, where there is one.
 */
export function fewPeakBytes(recent: readonly RecentJob[], inputBytes: number, line: number | undefined): number {
  const asked = recent.slice(-ASKED);
  const largest = Math.max(0, ...asked.map(({ peakBytes }) => peakBytes));
  const scaled = Math.max(0, ...asked.map((job) => job.peakBytes * growth(inputBytes, job.inputBytes)));
  const most = Math.min(scaled, MAX_GROWTH * largest);
  return line === undefined ? most : Math.min(most, Math.max(line, Math.min(largest, LINE_SLACK * line)));
}

/** Durations of the last jobs that came to their end, scaled to the size of this input; sorted. */
export function fewDurationsMs(recent: readonly RecentJob[], inputBytes: number): readonly number[] {
  return recent
    .slice(-ASKED)
    .filter(({ durationMs }) => durationMs > 0)
    .map((job) => job.durationMs * Math.min(MAX_GROWTH, growth(inputBytes, job.inputBytes)))
    .toSorted((a, b) => a - b);
}

function growth(inputBytes: number, seenBytes: number): number {
  return seenBytes > 0 ? Math.max(1, inputBytes / seenBytes) : 1;
}
