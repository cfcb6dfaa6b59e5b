/** Whether a run could ever be run by a worker that is alive. Told when it is asked for, for a larger one may be on its way. */
import type { Redis } from "ioredis";
import { effectiveProfile } from "../contract/profile-changes.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { Clock } from "./clock.ts";
import { loadProfileChanges } from "./profile-changes.ts";
import { decideProfileFit } from "./profile-fit.ts";
import { isAlive, isProcessThere, loadHeartbeats } from "./worker-heartbeats.ts";

export interface RunFitDeps {
  readonly redis: Redis;
  readonly kp: string;
  readonly clock: Pick<Clock, "nowMs">;
  readonly isEmbedded: boolean;
}

/** What the worker that comes nearest lacks, one line each; empty when one can run it, or none is there to say. */
export async function lackingForRun(deps: RunFitDeps, spec: RunSpec): Promise<readonly string[]> {
  const { redis, kp, clock, isEmbedded } = deps;
  const changes = await loadProfileChanges(redis, kp);
  const { memoryBytes, gpuMemoryBytes, labels } = effectiveProfile(spec.resources, changes.get(spec.profile));
  if (memoryBytes === undefined && labels.length === 0) return [];
  const nowMs = clock.nowMs();
  const workers = (await loadHeartbeats(redis, kp)).filter(
    (beat) => isAlive(beat, nowMs) && (!isEmbedded || isProcessThere(beat)),
  );
  const faults = decideProfileFit(
    {
      labels: [...labels],
      ...(memoryBytes !== undefined && { memory: memoryBytes }),
      ...(gpuMemoryBytes !== undefined && { gpu_memory: gpuMemoryBytes }),
    },
    workers,
  );
  return faults.map(
    ({ where, expected, found }) => `profile ${spec.profile}, ${where}: expected ${expected}, found ${found}`,
  );
}
