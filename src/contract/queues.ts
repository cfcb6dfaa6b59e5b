/** Queue names, key prefix and the other keys in Redis. Every key of one cluster shares one hash tag. */
import { InvalidInputError } from "./errors.ts";

export const DEFAULT_PREFIX = "headroom";

/** The BullMQ prefix, a hash tag, so that flows work on Redis Cluster. */
export function keyPrefix(prefix: string): string {
  return `{${prefix}}`;
}

/** One queue per job name, profile and size bucket: `exec.default@14`. */
export function queueName(jobName: string, profile: string, bucket: number): string {
  return `${jobName}.${profile}@${bucket}`;
}

const pattern = /^([a-z]+)\.([a-z0-9_-]+)@(\d+)$/;

/** The parts of a queue name. @throws {InvalidInputError} for a name that `queueName` never makes. */
export function parseQueueName(name: string): { jobName: string; profile: string; bucket: number } {
  const [, jobName, profile, bucket] = pattern.exec(name) ?? [];
  if (jobName === undefined || profile === undefined || bucket === undefined) {
    throw new InvalidInputError("queue name", [{ where: "queue", expected: "JOB.PROFILE@BUCKET", found: name }]);
  }
  return { jobName, profile, bucket: Number(bucket) };
}

/** The keys that are ours beside BullMQ's. `kp` is the result of `keyPrefix`. */
export const keys = {
  /** Set of all queue names that were ever added to. */
  queues: (kp: string) => `${kp}:queues`,
  /** Channel: a queue name that is new, a run to cancel, a configuration to read again (see control.ts). */
  control: (kp: string) => `${kp}:control`,
  /** Hash of one run: spec, state, live counters. */
  run: (kp: string, runId: string) => `${kp}:run:${runId}`,
  /** Stream of one run's events. */
  events: (kp: string, runId: string) => `${kp}:events:${runId}`,
  /** Hash of the files that a chunk job has started: file index to intent (see fence.ts in worker/result). */
  inflight: (kp: string, jobId: string) => `${kp}:inflight:${jobId}`,
  /** Hash of crash counts by digest of (binary, input). */
  crashes: (kp: string) => `${kp}:crashes`,
  /** Hash of how many of these were losses of a worker. */
  losses: (kp: string) => `${kp}:losses`,
  /** There for a while after a loss was counted. */
  unrest: (kp: string) => `${kp}:unrest`,
  /** Set of the digests that one lost process of a worker was counted for. Expires. */
  lost: (kp: string, workerId: string, startedAtMs: number) => `${kp}:lost:${workerId}:${startedAtMs}`,
  /** Hash of the output folders that runs write to: folder to run id. */
  outputs: (kp: string) => `${kp}:outputs`,
  /** Hash of what was learned of a class (see class-state.ts in platform/learned). */
  learned: (kp: string, classKey: string) => `${kp}:learned:${classKey}`,
  /** What was no such hash and stood in its place: set aside for people to look at. Expires. */
  learnedAside: (kp: string, classKey: string) => `${kp}:learned-aside:${classKey}`,
  /** Sorted set of the classes that were learned of, by when that was last. */
  learnedClasses: (kp: string) => `${kp}:learned`,
  /** Hash of one worker's last heartbeat: capacity, reserved, reasons of waiting. Expires. */
  worker: (kp: string, workerId: string) => `${kp}:worker:${workerId}`,
  /** Set of worker ids that ever sent a heartbeat and were not yet swept. */
  workers: (kp: string) => `${kp}:workers`,
  /** Hash of how loaded each worker is, by worker id, for the others (see cluster-load.ts). Expires. */
  loads: (kp: string) => `${kp}:loads`,
  /** Hash of who keeps room for which queue, and who else could (see drain-leases.ts in worker). Expires. */
  drains: (kp: string) => `${kp}:drains`,
  /** Hash of drains that were asked for, by worker id or host (see drain-requests.ts). */
  drained: (kp: string) => `${kp}:drained`,
  /** Hash of limits that were set while workers run, by worker id, host or `*` (see limits.ts). */
  limits: (kp: string) => `${kp}:limits`,
  /** Hash of declarations of profiles that were set while jobs wait, by profile (see profile-changes.ts). */
  profiles: (kp: string) => `${kp}:profiles`,
  /** The last scale signal, as JSON (see scaling.ts). Expires. */
  scaling: (kp: string) => `${kp}:scaling`,
  /**
   * List as long as workers are wanted, for autoscalers that can do no more than take a length: of all pools, or of the workers
   * with these labels. Expires.
   */
  workersWanted: (kp: string, labels?: readonly string[]) =>
    labels === undefined ? `${kp}:workers-wanted` : `${kp}:workers-wanted:${labels.join(",")}`,
  /** Hash of how fast a worker was last seen to do jobs of a profile, by profile and labels (see scaling.ts). */
  paces: (kp: string) => `${kp}:paces`,
  /** Hash of settings of capacity rules that were set while workers run, by name of the rule (see rule-settings.ts). */
  rules: (kp: string) => `${kp}:rules`,
  /** Hash of how many jobs of a kind that mostly waits run best at a time: `CLASS|HOST` (see class-limit-memory.ts). */
  classLimits: (kp: string) => `${kp}:class-limits`,
  /** Hash of a flow in one epoch: its nodes, what they wait for, how they ended (see flow-state.ts in platform/flow). */
  flow: (kp: string, runId: string, epoch: number) => `${kp}:flow:${runId}:${epoch}`,
  /** Hash of the scheduler that leads (see leader-lease.ts in scheduler). Expires. */
  leader: (kp: string) => `${kp}:leader`,
  /** The token of the last term of a leader. */
  lastTerm: (kp: string) => `${kp}:leader:last`,
} as const;

/** Chunks and control jobs of one run carry ids that say so: any job id names its run. */
export const jobIds = {
  report: (runId: string, epoch: number) => `${runId}.${epoch}.report`,
  scan: (runId: string, epoch: number) => `${runId}.${epoch}.scan`,
  chunk: (runId: string, epoch: number, chunk: string) => `${runId}.${epoch}.c${chunk}`,
  fork: (runId: string, epoch: number, path: string) => `${runId}.${epoch}.fork-${path.replace("/", "_")}`,
} as const;

/** The run and epoch that a job id made by `jobIds` names, or undefined. */
export function placeOfJobId(jobId: string): { readonly runId: string; readonly epoch: number } | undefined {
  const [, runId, epoch] = /^([^.]+)\.(\d+)\.[a-z0-9-]+/.exec(jobId) ?? [];
  return runId === undefined ? undefined : { runId, epoch: Number(epoch) };
}

/** The run that a job id made by `jobIds` belongs to, or undefined. */
export function runOfJobId(jobId: string): string | undefined {
  return placeOfJobId(jobId)?.runId;
}

/** The node of a flow, by its place in the file, and the instance, whose call a job id made by `jobIds.chunk` names. */
export function callOfJobId(
  jobId: string,
): { readonly epoch: number; readonly index: number; readonly instance: number | undefined } | undefined {
  const [, epoch, index, instance] = /^[^.]+\.(\d+)\.c(\d+)(?:_(\d+))?/.exec(jobId) ?? [];
  if (epoch === undefined || index === undefined) return undefined;
  return {
    epoch: Number(epoch),
    index: Number(index),
    instance: instance === undefined ? undefined : Number(instance),
  };
}
