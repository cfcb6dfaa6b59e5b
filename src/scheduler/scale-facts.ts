/** What the scale signal is decided from: the queues by profile and labels, the workers, and what was set by hand. */
import type { Redis } from "ioredis";
import type { z } from "zod";
import { ALL_WORKERS } from "../contract/limits.ts";
import { bucketBytes } from "../contract/profiles.ts";
import { keys, parseQueueName } from "../contract/queues.ts";
import { partKey, workerPace, type WorkerPace } from "../contract/scaling.ts";
import type { RunningJob, WorkerHeartbeat } from "../contract/status.ts";
import type { Clock } from "../platform/clock.ts";
import { delayedKey, lastDueScore } from "../platform/delayed-jobs.ts";
import { carries, isClaiming, tooLargeReasons } from "../platform/explain-workers.ts";
import { profileOfPlace, scanPlace, type JobQueues, type QueuePlace } from "../platform/job-queues.ts";
import { loadAllLimits } from "../platform/limits.ts";
import type { Logger } from "../platform/logger.ts";
import { poolLabels } from "../platform/scaling.ts";
import { isAlive, loadHeartbeats } from "../platform/worker-heartbeats.ts";
import type { ProfileFacts, ScalingFacts } from "./scaling.ts";

export interface ScaleFactsDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly queues: JobQueues;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One queue, counted. */
interface Counted {
  readonly place: QueuePlace;
  readonly waiting: number;
  readonly prioritized: number;
  readonly due: number;
  readonly later: number;
  readonly active: number;
  readonly isPaused: boolean;
}

/** A scan keeps at least about so many chunks waiting before it adds more. */
const SCAN_WINDOW_JOBS = 20;

const rememberedPace = workerPace.omit({ profile: true });
type RememberedPace = z.output<typeof rememberedPace>;

/** Reads it all. `profiles`: those that are told of though they never had a job. */
export async function loadScaleFacts(deps: ScaleFactsDeps, profiles: readonly string[]): Promise<ScalingFacts> {
  const nowMs = deps.clock.nowMs();
  const [counted, beats, limits, remembered] = await Promise.all([
    countQueues(deps, nowMs),
    loadHeartbeats(deps.redis, deps.kp),
    loadAllLimits(deps),
    loadPaces(deps),
  ]);
  const workers = beats.filter((beat) => isAlive(beat, nowMs) && isClaiming(beat));
  const isScanning = counted.some(({ place, active }) => place.name === scanPlace.name && active > 0);
  return {
    nowMs,
    isPaused: limits.get(ALL_WORKERS)?.paused === true,
    profiles: partsOf(counted, profiles).map((part) =>
      factsOf(part, {
        remembered: remembered.get(partKey(part)) ?? remembered.get(part.profile),
        ...{ workers, isScanning, nowMs },
      }),
    ),
  };
}

/** Queues that the same workers may serve, by what counts for their jobs now. */
interface Part {
  readonly profile: string;
  readonly labels: readonly string[];
  readonly queues: Counted[];
}

function partsOf(counted: readonly Counted[], profiles: readonly string[]): readonly Part[] {
  const parts = new Map<string, Part>();
  const partOf = (profile: string, needs: readonly string[]): Part => {
    const labels = [...new Set(needs)].toSorted();
    const key = partKey({ profile, labels });
    const part = parts.get(key) ?? { profile, labels, queues: [] };
    parts.set(key, part);
    return part;
  };
  for (const one of counted) partOf(profileOfPlace(one.place), one.place.spec.labels).queues.push(one);
  const known = new Set([...parts.values()].map(({ profile }) => profile));
  for (const profile of profiles) if (!known.has(profile)) partOf(profile, []);
  return [...parts.values()].toSorted((a, b) => (partKey(a) < partKey(b) ? -1 : 1));
}

/** Remembers what live workers do, for the time when none lives. */
export async function keepPaces({ redis, kp }: Pick<ScaleFactsDeps, "redis" | "kp">, paces: Paces): Promise<void> {
  if (paces.size === 0) return;
  const fields = [...paces].flatMap(([part, { jobMs, jobsAtOnce }]) => [part, JSON.stringify({ jobMs, jobsAtOnce })]);
  await redis.hset(keys.paces(kp), ...fields);
}

/** By `partKey`. */
export type Paces = ReadonlyMap<string, RememberedPace>;

async function loadPaces({ redis, kp, logger }: ScaleFactsDeps): Promise<Paces> {
  const stored = Object.entries(await redis.hgetall(keys.paces(kp)));
  return new Map(
    stored.flatMap(([part, text]) => {
      const { data, error } = rememberedPace.safeParse(JSON.parse(text));
      if (error !== undefined) logger.warn({ profile: part }, "pace of a profile cannot be read and is left out");
      return data === undefined ? [] : [[part, data] as const];
    }),
  );
}

/** BullMQ's own keys. A wrong one would count nothing for ever: the integration test adds jobs to each of them. */
async function countQueues({ redis, kp, queues }: ScaleFactsDeps, nowMs: number): Promise<Counted[]> {
  const places = await queues.list();
  return Promise.all(
    places.map(async (place) => {
      const base = `${kp}:${place.name}`;
      const [waiting, prioritized, delayed, due, active, paused] = await Promise.all([
        redis.llen(`${base}:wait`),
        redis.zcard(`${base}:prioritized`),
        redis.zcard(delayedKey(kp, place.name)),
        redis.zcount(delayedKey(kp, place.name), "-inf", lastDueScore(nowMs)),
        redis.llen(`${base}:active`),
        redis.hexists(`${base}:meta`, "paused"),
      ]);
      return { place, waiting, prioritized, due, later: Math.max(0, delayed - due), active, isPaused: paused === 1 };
    }),
  );
}

interface View {
  readonly workers: readonly WorkerHeartbeat[];
  readonly remembered: RememberedPace | undefined;
  readonly isScanning: boolean;
  readonly nowMs: number;
}

function factsOf({ profile, labels, queues }: Part, { workers, remembered, isScanning, nowMs }: View): ProfileFacts {
  const names = new Set(queues.map(({ place }) => place.name));
  const isOf = ({ queue }: RunningJob) => queue !== undefined && names.has(queue);
  const able = workers.filter((worker) => carries(worker, labels));
  // Of those that could be chosen: what none of them finds out of itself, another one would not either.
  const isRefused = able.length === 0 && workers.some((worker) => carries(worker, poolLabels(labels)));
  const groups = { open: [] as Counted[], paused: [] as Counted[], hopeless: [] as Counted[] };
  for (const queue of queues)
    groups[queue.isPaused ? "paused" : isRefused || isHopeless(queue, able) ? "hopeless" : "open"].push(queue);
  const runnable = {
    waiting: sumOf(groups.open, ({ waiting }) => waiting),
    prioritized: sumOf(groups.open, ({ prioritized }) => prioritized),
    due: sumOf(groups.open, ({ due }) => due),
  };
  const held = groups.open.filter(({ place }) =>
    able.some(({ waiting }) => waiting.some((w) => w.queue === place.name)),
  );
  const rooms = able.map((worker) => roomIn(worker, queues));
  return {
    ...{ profile, labels, runnable, remembered },
    heldByGovernors: sumOf(held, backlogOf),
    notRunnable: {
      paused: sumOf(groups.paused, backlogOf),
      delayed: sumOf(queues, ({ later }) => later),
      unschedulable: sumOf(groups.hopeless, backlogOf),
    },
    active: sumOf(queues, ({ active }) => active),
    workers: { live: able.length, busy: able.filter(({ running }) => running.some(isOf)).length },
    longestRunMs: Math.max(
      0,
      ...able.flatMap(({ running }) => running.filter(isOf).map(({ sinceMs }) => nowMs - sinceMs)),
    ),
    paces: able.flatMap(({ pace = [] }) => pace.filter((one): one is WorkerPace => one.profile === profile)),
    roomForJobs: rooms.length === 0 || queues.length === 0 ? undefined : Math.max(...rooms),
    hasMore: isScanning && queues.some((queue) => isOfFiles(queue) && backlogOf(queue) >= SCAN_WINDOW_JOBS),
  };
}

function isOfFiles({ place }: Counted): boolean {
  return ["exec", "infer"].includes(parseQueueName(place.name).jobName);
}

function backlogOf({ waiting, prioritized, due }: Counted): number {
  return waiting + prioritized + due;
}

function sumOf(queues: readonly Counted[], of: (queue: Counted) => number): number {
  return queues.reduce((sum, queue) => sum + of(queue), 0);
}

/** Whether each of the workers that are there would refuse its jobs for ever; without any, another one may take them. */
function isHopeless({ place }: Counted, able: readonly WorkerHeartbeat[]): boolean {
  if (able.length === 0) return false;
  if (tooLargeReasons({ name: place.name, ...place.spec }, able).length > 0) return true;
  return able.every(({ waiting }) =>
    waiting.some(({ queue, code }) => queue === place.name && code === "UNSCHEDULABLE"),
  );
}

/** Jobs at a time that a worker takes by its size alone, of the largest of these queues. */
function roomIn({ capacity }: WorkerHeartbeat, queues: readonly Counted[]): number {
  const bytes = Math.max(1, ...queues.map(({ place }) => bucketBytes(parseQueueName(place.name).bucket)));
  const cores = Math.max(0.01, ...queues.map(({ place }) => place.spec.cpuCores));
  const { memoryBytes = bytes, cpuCores = cores, processes = 1 } = capacity;
  return Math.max(1, Math.floor(Math.min(memoryBytes / bytes, cpuCores / cores, processes)));
}
