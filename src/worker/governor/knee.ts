/**
 * How many jobs of a kind that mostly waits (for disks, for servers) run at a time: found by their throughput. Pure; one
 * cohort of jobs in, the next limit out.
 *
 * States: `growing` (doubles as long as that brings 15 % more) → `steady` (the best so far) ⇄ `probing` (a step up or
 * down for one cohort). A step is kept when it pays: upwards an eighth of what it would bring if nothing were in the way,
 * downwards when nearly nothing is lost, so that of two equal numbers the smaller one stays. Each step that is taken back
 * makes the next one smaller and later, so that nothing swings; throughput that changes by itself makes it wide and soon.
 *
 * Throughput decides, not the time of a job against what was predicted: that is learned from jobs that ran under the same
 * limit, so a slow server soon counts as usual.
 */
export interface Cohort {
  /** Work done per second. */
  readonly rate: number;
  /** Time of a job per unit of its work. */
  readonly msPerWork: number;
}

export interface Knee {
  readonly phase: "growing" | "steady" | "probing";
  /** So many may run now. */
  readonly limit: number;
  /** What the best limit so far was measured to bring; undefined before the first cohort. */
  readonly base: { readonly limit: number; readonly rate: number } | undefined;
  readonly direction: 1 | -1;
  /** Share of the limit that a step changes. */
  readonly step: number;
  /** Cohorts until the next step, and how many it will be after one that is taken back. */
  readonly calm: number;
  readonly patience: number;
  /** The shortest time per unit of work, and under which limit: beyond it jobs wait for one another. */
  readonly least: { readonly ms: number; readonly limit: number };
}

const GROWTH_GAIN = 1.15;
const WIDE = 0.25;
const NARROW = 0.0625;
const UP_PAYS = 0.12;
const DOWN_COSTS = 0.06;
const MOST_PATIENCE = 8;
/** Throughput that changes so far by itself: what is known of the limits around no longer holds. */
const MOVED = 0.25;
const SMOOTHING = 0.5;
/** Below so many times the shortest time nothing queues, and fewer at a time can only bring less. */
const QUEUES = 1.15;
/** A time that is shorter by less than this is the same one. */
const SAME = 0.05;

export function firstKnee(limit: number): Knee {
  const search = { direction: 1, step: WIDE, calm: 1, patience: 1 } as const;
  return { phase: "growing", limit, base: undefined, ...search, least: { ms: Infinity, limit } };
}

/** The search where an earlier one came to: its number is the best so far, and the first cohort says what it brings. */
export function resumedKnee(limit: number): Knee {
  return { ...firstKnee(limit), phase: "steady" };
}

/** The limit after one more cohort at the last one; never above `most`. */
export function decideKnee(knee: Knee, cohort: Cohort, most: number): Knee {
  const known = { ...knee, least: leastOf(knee, cohort) };
  const { base } = knee;
  if (base === undefined && knee.phase === "growing") return grow(known, cohort, most);
  if (base === undefined) return { ...known, base: { limit: knee.limit, rate: cohort.rate } };
  switch (knee.phase) {
    case "growing":
      if (cohort.rate >= base.rate * GROWTH_GAIN) return grow(known, cohort, most);
      return settle(known, cohort.rate > base.rate ? { limit: knee.limit, rate: cohort.rate } : base);
    case "steady":
      return hold({ ...known, base }, cohort, most);
    case "probing":
      return judge({ ...known, base }, cohort, most);
  }
}

/** Twice as many at a time, whatever they bring: for jobs that take so long that none has ended. */
export function growBlindly(knee: Knee, most: number): Knee {
  return { ...knee, limit: Math.max(knee.limit, Math.min(most, 2 * knee.limit)) };
}

/** Back to the best limit so far: there were not enough jobs to try another. */
export function abandonProbe(knee: Knee): Knee {
  if (knee.phase !== "probing" || knee.base === undefined) return knee;
  return { ...knee, phase: "steady", limit: knee.base.limit, calm: 1 };
}

function leastOf({ least, limit }: Knee, { msPerWork }: Cohort): Knee["least"] {
  const isShorter = msPerWork < (limit < least.limit ? 1 + SAME : 1 - SAME) * least.ms;
  return isShorter ? { ms: msPerWork, limit } : least;
}

type Known = Knee & { readonly base: NonNullable<Knee["base"]> };

function grow(knee: Knee, { rate }: Cohort, most: number): Knee {
  const base = { limit: knee.limit, rate };
  if (knee.limit >= most) return settle(knee, base);
  return { ...knee, base, limit: Math.min(most, 2 * knee.limit) };
}

function settle(knee: Knee, base: Known["base"]): Knee {
  const direction = base.limit === knee.limit ? -1 : 1;
  return { ...knee, phase: "steady", base, limit: base.limit, direction };
}

function hold(knee: Known, cohort: Cohort, most: number): Knee {
  const { base, calm } = knee;
  const change = cohort.rate - base.rate;
  if (Math.abs(change) > MOVED * base.rate) {
    return probe({ ...knee, base: { ...base, rate: cohort.rate }, step: WIDE, patience: 1 }, cohort, most);
  }
  const steady = { ...knee, base: { ...base, rate: base.rate + SMOOTHING * change }, calm: calm - 1 };
  return calm > 1 ? steady : probe(steady, cohort, most);
}

/** One step from the base: on in the same direction, or back where that one is closed. */
function probe(knee: Known, { msPerWork }: Cohort, most: number): Knee {
  const { base, step, least, patience } = knee;
  // As short with half of them or fewer: nothing queues.
  const isFree = 2 * least.limit <= base.limit && msPerWork <= QUEUES * least.ms;
  const isOpen = { 1: base.limit < most, [-1]: base.limit > 1 && !isFree };
  const direction = isOpen[knee.direction] ? knee.direction : knee.direction === 1 ? -1 : 1;
  const steady = { ...knee, phase: "steady", limit: base.limit, calm: patience } as const;
  if (!isOpen[direction]) return steady;
  const limit = Math.min(most, base.limit + direction * Math.max(1, Math.round(step * base.limit)));
  return { ...knee, phase: "probing", limit, direction };
}

function judge(knee: Known, cohort: Cohort, most: number): Knee {
  const { base, limit, direction, step, patience } = knee;
  const share = Math.abs(limit / base.limit - 1);
  const gain = cohort.rate / base.rate - 1;
  if (gain >= (direction === 1 ? UP_PAYS : -DOWN_COSTS) * share) {
    return probe(
      { ...knee, base: { limit, rate: cohort.rate }, step: Math.min(WIDE, 2 * step), patience: 1 },
      cohort,
      most,
    );
  }
  return {
    ...knee,
    phase: "steady",
    limit: base.limit,
    direction: direction === 1 ? -1 : 1,
    step: Math.max(NARROW, step / 2),
    calm: patience,
    patience: Math.min(MOST_PATIENCE, 2 * patience),
  };
}
