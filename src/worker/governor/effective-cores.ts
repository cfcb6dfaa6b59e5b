/**
 * Cores that a quota grants and others of the same cgroup use are not ours, and only throttling tells of them. Pure. When
 * the kernel holds threads back, the cores that are promised are lowered in small steps; without it they come back, more
 * slowly, so that the two do not chase each other.
 */
export interface CoreShare {
  readonly ratio: number;
  readonly steppedAtMs: number;
}

export const allCores: CoreShare = { ratio: 1, steppedAtMs: -Infinity };

const STEP_MS = 2_000;
/** Share of the granted time. Jobs that use a quota up, and the worker beside them, are held back a little by themselves. */
const MUCH = 0.05;
const LITTLE = 0.01;
const LOWERED = 0.95;
const RAISED = 0.02;
const LEAST = 0.5;

/** The share of the granted cores that may be promised, after one more reading; without a figure it is all of them. */
export function decideCoreShare(share: CoreShare, throttled: number | undefined, nowMs: number): CoreShare {
  if (throttled === undefined) return allCores;
  if (nowMs - share.steppedAtMs < STEP_MS) return share;
  if (throttled > MUCH) return { ratio: Math.max(LEAST, share.ratio * LOWERED), steppedAtMs: nowMs };
  if (throttled < LITTLE && share.ratio < 1) return { ratio: Math.min(1, share.ratio + RAISED), steppedAtMs: nowMs };
  return share;
}
