/** The scale signal: how many workers are wanted for the jobs of each profile, and why. */
import { z } from "zod";
import { seconds } from "./config-units.ts";

/** Where the scale signal is asked for. */
export const SCALING_PATH = "/v1/scaling";

/** Section `scaling` of the configuration. */
export const scalingSchema = z
  .strictObject({
    /** Jobs that wait are to be begun within this. */
    target_wait_seconds: seconds({ min: 1, max: 86_400 }).default(60),
    min_workers: z.int().min(0).max(10_000).default(0),
    max_workers: z.int().min(0).max(10_000).default(100),
    /** Fewer are wanted only when so few were enough for this long. */
    cooldown_seconds: seconds({ min: 0, max: 86_400 }).default(300),
  })
  .refine(({ min_workers, max_workers }) => min_workers <= max_workers, {
    path: ["min_workers"],
    error: "no more than scaling.max_workers",
  });

const count = z.int().nonnegative();
const amount = z.number().nonnegative();

/** How fast one worker was seen to do jobs of a profile. Part of its heartbeat. */
export const workerPace = z.object({
  profile: z.string(),
  /** From the claim of a job to its end, on average; the newer the more it counts. */
  jobMs: amount,
  /** The most of its jobs at a time, of late. */
  jobsAtOnce: amount,
});
export type WorkerPace = Readonly<z.output<typeof workerPace>>;

/** What a pace rests on: workers that live, workers that lived, or nothing yet. */
const paceBases = ["measured", "remembered", "assumed"] as const;

/** The jobs of a profile that need the same labels: those with others are served by other workers. */
const profileScaling = z.object({
  profile: z.string(),
  /** Workers wanted, within the limits, after the cooldown. */
  value: count,
  /** Workers that the jobs of this moment ask for, as a fraction and without limits. */
  needed: amount,
  /** What `needed` was at most within the cooldown: later ones and lower ones, oldest first. */
  peaks: z.array(z.object({ atMs: z.number(), needed: amount })).readonly(),
  /** Labels that a worker needs to serve these jobs. */
  labels: z.array(z.string()).readonly(),
  /** Jobs that could begin now, by where they wait; `due` were delayed, and their time has come. */
  runnable: z.object({ waiting: count, prioritized: count, due: count }),
  /** Of these, jobs in queues that some worker leaves for want of room. */
  heldByGovernors: count,
  /** Jobs that more workers would not begin. */
  notRunnable: z.object({ paused: count, delayed: count, unschedulable: count }),
  active: count,
  /** Workers that may serve them, and those that hold some. */
  workers: z.object({ live: count, busy: count }),
  pace: z.object({ jobMs: amount, jobsAtOnce: amount, basis: z.enum(paceBases) }),
  reasons: z.array(z.string()).readonly(),
});
export type ProfileScaling = Readonly<z.output<typeof profileScaling>>;

/** What tells such jobs from others: the profile, and its labels where it has some. */
export function partKey({ profile, labels }: Pick<ProfileScaling, "profile" | "labels">): string {
  return labels.length === 0 ? profile : `${profile}:${labels.join(",")}`;
}

export const scalingSignal = z.object({
  /** Workers wanted for all profiles together. */
  value: count,
  /** When it was decided, in ms since 1970. */
  atMs: z.number(),
  /** Whether every worker is paused by hand. */
  isPaused: z.boolean(),
  limits: z.object({ minWorkers: count, maxWorkers: count }),
  /** Every profile that is known; once for each set of labels that its jobs need. */
  profiles: z.array(profileScaling).readonly(),
});
export type ScalingSignal = Readonly<z.output<typeof scalingSignal>>;

/** What is answered: `value` is always there, for those who read a single number. */
export const scalingAnswer = scalingSignal.extend({
  profiles: z.array(profileScaling.omit({ peaks: true })).readonly(),
});
export type ScalingAnswer = Readonly<z.output<typeof scalingAnswer>>;

/** A fraction of a worker that is no reason for another one. */
const SLACK = 1e-6;

/** Workers wanted for some profiles together: those of a pool share its workers, so fractions add up before they are rounded. */
export function workersWanted(
  profiles: readonly Pick<ProfileScaling, "needed" | "peaks">[],
  { isPaused, limits }: Pick<ScalingSignal, "isPaused" | "limits">,
): number {
  const needed = profiles.reduce((sum, profile) => sum + (profile.peaks[0]?.needed ?? profile.needed), 0);
  const least = isPaused ? 0 : limits.minWorkers;
  return Math.min(limits.maxWorkers, Math.max(least, Math.ceil(needed - SLACK)));
}
