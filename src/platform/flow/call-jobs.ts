/**
 * Adds the jobs of calls that are ready. A node is with one job at a time: who adds a job looks, in the same step, whether
 * each of its nodes is free. So it is safe to repeat, whatever went together the first time.
 */
import type { Redis } from "ioredis";
import { randomBytes } from "node:crypto";
import { chunkJobOf, type Payload } from "../../contract/jobs.ts";
import { jobIds, keys } from "../../contract/queues.ts";
import { addGuarded, type GuardedJob } from "../flow-step.ts";
import { execPlace, type JobQueues, type RunRef } from "../job-queues.ts";
import type { SplitCall } from "./call-groups.ts";

export interface CallJobsDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly queues: JobQueues;
}

/** Lua takes so many values off its stack at once that a job of this many calls is far from too many of them. */
const JOBS_AT_ONCE = 8;

/**
 * Adds a job for each group; how many were added. `isRestored`: nodes may have rows already, which a chunk that looks like
 * a repeat is asked for.
 */
export async function addCallJobs(
  deps: CallJobsDeps,
  ref: RunRef,
  groups: readonly (readonly SplitCall[])[],
  isRestored: boolean,
): Promise<number> {
  const { redis, kp, queues } = deps;
  const places = new Map(
    groups
      .flat()
      .map(({ spec }) => execPlace(spec))
      .map((place) => [place.name, place]),
  );
  for (const place of places.values()) await queues.announce(place);
  const waitingOf = (group: readonly SplitCall[], isRepeat: boolean) => ({
    group,
    job: jobFor(queues, ref, group, isRepeat),
  });
  const flowKey = keys.flow(kp, ref.runId, ref.epoch);
  let added = 0;
  const waiting = groups.filter((group) => group.length > 0).map((group) => waitingOf(group, isRestored));
  while (waiting.length > 0) {
    const some = waiting.splice(0, JOBS_AT_ONCE);
    const jobs = some.map(({ job }) => job);
    const answers = await addGuarded(redis, flowKey, jobs);
    for (const { group, job } of some) {
      const answer = answers.get(job);
      if (answer === undefined) added += 1;
      else if (answer === "repeat") waiting.push(waitingOf(group, true));
      // Of several, those that are free go alone; one that is not is somebody else's.
      else if (group.length > 1) waiting.push(...group.map((call) => waitingOf([call], job.isRepeat)));
    }
  }
  return added;
}

function jobFor(queues: JobQueues, ref: RunRef, group: readonly SplitCall[], isRepeat: boolean): GuardedJob {
  const [first] = group;
  if (first === undefined) throw new TypeError("expected a call");
  const own = randomBytes(5).toString("hex");
  // One that ended is in the way of another with its id.
  const chunk = `${first.index}${group.length > 1 ? `_${own}` : ""}${isRepeat ? `-r${own}` : ""}`;
  const files = group.map(({ index, path }) => ({ index, path, bytes: 0 }));
  const data: Payload<"exec"> = { ...ref, chunk, files };
  const { place, name } = { place: execPlace(first.spec), name: chunkJobOf(first.spec) };
  const fields: Record<string, string> = { [`b:${first.split.own.b}`]: first.split.base };
  for (const { path, split } of group) fields[`s:${path}`] = JSON.stringify(split.own);
  const child = queues.childOf(ref, first.spec, { place, name, id: jobIds.chunk(ref.runId, ref.epoch, chunk), data });
  return { ...child, paths: files.map(({ path }) => path), fields, isRepeat };
}
