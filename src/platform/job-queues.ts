/** Where jobs are put: queues by name, the directory that tells workers of them, and how the jobs of a run are added. */
import { Job, Queue, type JobsOptions } from "bullmq";
import type { Redis } from "ioredis";
import { createHash } from "node:crypto";
import type { FileEntry } from "../contract/files.ts";
import { chunkJobOf, stamped, type ChunkJobName, type JobName, type Payload } from "../contract/jobs.ts";
import {
  bucketOf,
  CONTROL_MEMORY_BYTES,
  CONTROL_PROFILE,
  controlProfile,
  memoryOf,
  type Profile,
} from "../contract/profiles.ts";
import type { ProfileChanges } from "../contract/profile-changes.ts";
import { jobIds, keys, parseQueueName, queueName } from "../contract/queues.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import { addFlow, releaseParent, type FlowJob } from "./flow-step.ts";
import { loadProfileChanges } from "./profile-changes.ts";
import { effectiveSpec, queueSpec, type QueueSpec } from "./queue-spec.ts";

export interface QueuePlace {
  readonly name: string;
  readonly spec: QueueSpec;
}

export interface RunRef {
  readonly runId: string;
  readonly epoch: number;
  readonly traceId: string;
}

/** Finished jobs are kept for the queue view only; what happened is in the store. */
const KEEP_COMPLETED = { age: 3_600, count: 50 };
const KEEP_FAILED = { age: 86_400, count: 200 };
const MAX_EVENTS = 1_000;

/**
 * The queue for a job of this profile and memory need. Labels, memory of a card, and cores other than the default are part
 * of its name: what no worker can take holds nothing up that one can.
 */
export function placeOf(jobName: string, profileName: string, profile: Profile, memoryBytes: number): QueuePlace {
  const { cpuCores, gpuMemoryBytes } = profile;
  const spec = {
    cpuCores,
    labels: [...profile.labels].sort(),
    ...(gpuMemoryBytes !== undefined && { gpuMemoryBytes }),
  };
  const isPlain = cpuCores === 1 && spec.labels.length === 0 && gpuMemoryBytes === undefined;
  const isControl = profileName === CONTROL_PROFILE;
  const suffix =
    isPlain || isControl ? "" : `-${createHash("sha256").update(JSON.stringify(spec)).digest("hex").slice(0, 6)}`;
  const name = queueName(jobName, profileName + suffix, bucketOf(memoryBytes));
  return { name, spec: { ...spec, profile: profileName } };
}

/** The profile whose jobs a queue holds. */
export function profileOfPlace({ name, spec }: QueuePlace): string {
  return spec.profile ?? parseQueueName(name).profile;
}

export const reportPlace = placeOf("report", CONTROL_PROFILE, controlProfile, CONTROL_MEMORY_BYTES);
export const forkPlace = placeOf("fork", CONTROL_PROFILE, controlProfile, CONTROL_MEMORY_BYTES);
export const scanPlace = placeOf("scan", CONTROL_PROFILE, controlProfile, CONTROL_MEMORY_BYTES);

/** The queue for the chunks of a run that are expected to take `memoryBytes`. */
export function execPlace(spec: RunSpec, memoryBytes = memoryOf(spec.resources)): QueuePlace {
  return placeOf(chunkJobOf(spec), spec.profile, spec.resources, memoryBytes);
}

type ForkStep = Pick<Payload<"fork">, "path" | "step">;
/** The step that every flow begins with, and the one that ends its time. No node can have the name of one. */
const BEGIN = { path: "_begin", step: "begin" } as const satisfies ForkStep;
export const DEADLINE = { path: "_deadline", step: "deadline" } as const satisfies ForkStep;

export interface ChunkToAdd {
  readonly chunk: string;
  readonly files: readonly FileEntry[];
  readonly delayMs?: number;
  readonly memoryBytes?: number;
}

/** One call of a flow's node, or of an instance of it. */
export interface CallToAdd {
  readonly path: string;
  /** Of its row (see `rowIndex`). */
  readonly index: number;
  readonly spec: RunSpec;
}

interface NewChild {
  readonly place: QueuePlace;
  readonly name: JobName;
  readonly id: string;
  readonly data: object;
}

/** Opens queues once, over one connection that the caller owns and closes. */
export class JobQueues {
  readonly #redis: Redis;
  readonly #kp: string;
  readonly #queues = new Map<string, Queue>();
  readonly #announced = new Set<string>();
  #changes: ProfileChanges = new Map();

  constructor(redis: Redis, kp: string) {
    this.#redis = redis;
    this.#kp = kp;
    redis.on("close", this.#forget);
  }

  /** The server of the next connection may know nothing: a restart or a failover can lose what it was told. */
  readonly #forget = (): void => {
    this.#announced.clear();
  };

  queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new Queue(name, {
        connection: this.#redis,
        prefix: this.#kp,
        streams: { events: { maxLen: MAX_EVENTS } },
        skipMetasUpdate: false,
        // Checked where a process connects (redis-check.ts), and told in our own words.
        skipVersionCheck: true,
      });
      // Each command's own rejection is what callers see; without a listener an emitted error would end the process.
      queue.on("error", () => undefined);
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** Makes a queue known to all workers. */
  async announce(place: QueuePlace): Promise<void> {
    if (this.#announced.has(place.name)) return;
    const isNew = await this.#redis.hset(`${keys.queues(this.#kp)}:specs`, place.name, JSON.stringify(place.spec));
    await this.#redis.sadd(keys.queues(this.#kp), place.name);
    if (isNew > 0) {
      await this.#redis.publish(keys.control(this.#kp), JSON.stringify({ kind: "queue", name: place.name }));
    }
    this.#announced.add(place.name);
  }

  /** All queues that were ever announced, with what counts for their jobs now. */
  async list(): Promise<QueuePlace[]> {
    const [specs, changes] = await Promise.all([
      this.#redis.hgetall(`${keys.queues(this.#kp)}:specs`),
      loadProfileChanges(this.#redis, this.#kp),
    ]);
    this.#changes = changes;
    return Object.entries(specs).map(([name, json]) => {
      const spec = queueSpec.parse(JSON.parse(json));
      return { name, spec: effectiveSpec(spec, changes.get(profileOfPlace({ name, spec }))) };
    });
  }

  /** Declarations of profiles that were set while jobs wait, as of the last `list`. */
  get profileChanges(): ProfileChanges {
    return this.#changes;
  }

  /**
   * Adds the root of a run with its first children: a scan, or chunks that are known already. `live`, the fields of its
   * hash, are set in the same step: one round trip stands between the caller and the start.
   */
  async addRun(
    ref: RunRef,
    spec: RunSpec,
    chunks: readonly ChunkToAdd[] | "scan",
    live?: Readonly<Record<string, string | number>>,
  ): Promise<void> {
    const exec = execPlace(spec);
    const places = [reportPlace, scanPlace, ...(spec.executor === "flow" ? [forkPlace] : [exec])].filter(
      (place) => !this.#announced.has(place.name),
    );
    if (places.length > 0) await Promise.all(places.map((place) => this.announce(place)));
    const { runId, epoch } = ref;
    const rootId = jobIds.report(runId, epoch);
    const roots = this.queue(reportPlace.name);
    const { ignoreDependencyOnFailure, ...rootOptions } = this.#options(rootId, spec);
    const above = spec.parent && {
      ...{ ignoreDependencyOnFailure },
      parent: { id: jobIds.report(spec.parent.runId, spec.parent.epoch), queue: roots.qualifiedName },
    };
    const root = { queue: roots, job: new Job(roots, "report", stamped(ref), { ...rootOptions, ...above }, rootId) };
    const child = (place: QueuePlace, name: JobName, id: string, data: object): FlowJob =>
      this.childOf(ref, spec, { place, name, id, data });
    const begin: Payload<"fork"> = { ...ref, ...BEGIN };
    const children =
      chunks === "scan"
        ? [
            spec.executor === "flow"
              ? child(forkPlace, "fork", jobIds.fork(runId, epoch, BEGIN.path), begin)
              : child(scanPlace, "scan", jobIds.scan(runId, epoch), ref satisfies Payload<"scan">),
          ]
        : chunks.map(({ chunk, files }) => {
            const data: Payload<ChunkJobName> = { ...ref, chunk, files: [...files] };
            return child(exec, chunkJobOf(spec), jobIds.chunk(runId, epoch, chunk), data);
          });
    // A new epoch of an old run begins with all counters at zero.
    const hash = live && { key: keys.run(this.#kp, runId), fields: live, isAnew: epoch > 0 };
    await addFlow(this.#redis, root, children, hash);
  }

  /** Adds chunks below the root of a run that has not ended; ids make it safe to repeat. */
  async addChunks(
    ref: RunRef,
    spec: RunSpec,
    chunks: readonly ChunkToAdd[],
    mayGoOn?: () => Promise<void>,
  ): Promise<void> {
    const parent = this.#rootOf(ref);
    for (const chunk of chunks) {
      await mayGoOn?.();
      const place = execPlace(spec, chunk.memoryBytes);
      await this.announce(place);
      const data: Payload<ChunkJobName> = { ...ref, chunk: chunk.chunk, files: [...chunk.files] };
      const opts = this.#options(jobIds.chunk(ref.runId, ref.epoch, chunk.chunk), spec);
      await this.queue(place.name).add(chunkJobOf(spec), stamped(data), {
        ...opts,
        parent,
        ...(chunk.delayMs ? { delay: chunk.delayMs } : {}),
      });
    }
  }

  /** A job below the root of its run, to be added by a script. */
  childOf({ runId, epoch }: RunRef, spec: RunSpec, child: NewChild): FlowJob {
    const queue = this.queue(child.place.name);
    const opts = { ...this.#options(child.id, spec), parent: this.#rootOf({ runId, epoch }) };
    return { queue, job: new Job(queue, child.name, stamped(child.data), opts, child.id) };
  }

  /** Adds a step of a flow below its root; its id makes it safe to repeat. */
  async addFork(ref: RunRef, spec: RunSpec, fork: Pick<Payload<"fork">, "path" | "step">, delayMs = 0): Promise<void> {
    await this.announce(forkPlace);
    const opts = this.#options(jobIds.fork(ref.runId, ref.epoch, fork.path), spec);
    const data: Payload<"fork"> = { ...ref, ...fork };
    const delay = delayMs > 0 ? { delay: delayMs } : {};
    await this.queue(forkPlace.name).add("fork", stamped(data), { ...opts, parent: this.#rootOf(ref), ...delay });
  }

  /** Adds the step that ends the time of a flow. It is not below the root, which does not wait for it. */
  async addDeadline(ref: RunRef, spec: RunSpec, delayMs: number): Promise<void> {
    await this.announce(forkPlace);
    const data: Payload<"fork"> = { ...ref, ...DEADLINE };
    const { ignoreDependencyOnFailure: _, ...opts } = this.#options(jobIds.fork(ref.runId, ref.epoch, data.path), spec);
    await this.queue(forkPlace.name).add("fork", stamped(data), { ...opts, delay: Math.max(0, delayMs) });
  }

  /** Removes the step that would end the time of a flow that has ended. */
  async removeDeadline({ runId, epoch }: Pick<RunRef, "runId" | "epoch">): Promise<void> {
    await this.queue(forkPlace.name).remove(jobIds.fork(runId, epoch, DEADLINE.path));
  }

  /** Brings a step that waits for its time forward; whether there was one. */
  async promoteFork(ref: Pick<RunRef, "runId" | "epoch">, path: string): Promise<boolean> {
    const job = await this.queue(forkPlace.name).getJob(jobIds.fork(ref.runId, ref.epoch, path));
    if (job === undefined || (await job.getState()) !== "delayed") return false;
    await job.promote();
    return true;
  }

  /** Whether the root of a run is there and has not ended. */
  async hasRoot(ref: Pick<RunRef, "runId" | "epoch">): Promise<boolean> {
    const job = await this.queue(reportPlace.name).getJob(jobIds.report(ref.runId, ref.epoch));
    return job !== undefined && !["completed", "failed", "unknown"].includes(await job.getState());
  }

  /**
   * Removes the scan of a run, or the begin of a flow, that has ended: it is in the way of another. One that waits stays,
   * for it serves as well, and without it the root would start.
   */
  async removeFirst({ runId, epoch }: Pick<RunRef, "runId" | "epoch">, { executor }: RunSpec): Promise<void> {
    const [place, id] =
      executor === "flow" ? [forkPlace, jobIds.fork(runId, epoch, BEGIN.path)] : [scanPlace, jobIds.scan(runId, epoch)];
    const job = await this.queue(place.name).getJob(id);
    const state = await job?.getState();
    if (state === "completed" || state === "failed") await job?.remove();
  }

  /**
   * Adds the scan of a run, or the begin of a flow, once more below its root, which is being worked on: it must wait for
   * its children then.
   */
  async scanAgain(ref: RunRef, spec: RunSpec): Promise<void> {
    await this.removeFirst(ref, spec);
    if (spec.executor === "flow") {
      await this.addFork(ref, spec, BEGIN);
      return;
    }
    const parent = this.#rootOf(ref);
    const jobId = jobIds.scan(ref.runId, ref.epoch);
    await this.queue(scanPlace.name).add("scan", stamped(ref satisfies Payload<"scan">), {
      ...this.#options(jobId, spec),
      parent,
    });
  }

  /** Ids of ended jobs below the root that were not forgotten, since their worker was lost in that moment. */
  async endedChildren(ref: Pick<RunRef, "runId" | "epoch">): Promise<string[]> {
    const root = `${this.#kp}:${reportPlace.name}:${jobIds.report(ref.runId, ref.epoch)}`;
    return (await this.#redis.hkeys(`${root}:processed`)).map((key) => key.slice(key.lastIndexOf(":") + 1));
  }

  /** Jobs of the run that have not ended: `{prefix}:queue:id` keys, in pages. */
  async *openJobs(ref: Pick<RunRef, "runId" | "epoch">): AsyncGenerator<{ queue: string; id: string }> {
    const root = `${this.#kp}:${reportPlace.name}:${jobIds.report(ref.runId, ref.epoch)}:dependencies`;
    let cursor = "0";
    do {
      const [next, members] = await this.#redis.sscan(root, cursor, "COUNT", 200);
      cursor = next;
      for (const member of members) {
        const rest = member.slice(this.#kp.length + 1);
        const colon = rest.indexOf(":");
        yield { queue: rest.slice(0, colon), id: rest.slice(colon + 1) };
      }
    } while (cursor !== "0");
  }

  /**
   * Takes children that ended, or are gone, off those that the root of a run waits for, and releases it when none is left;
   * of at most `limit` of them.
   */
  async releaseRoot(
    ref: Pick<RunRef, "runId" | "epoch">,
    limit: number,
  ): Promise<{ readonly seen: number; readonly taken: number; readonly isReleased: boolean }> {
    const children: string[] = [];
    for await (const { queue, id } of this.openJobs(ref)) {
      children.push(`${this.#kp}:${queue}:${id}`);
      if (children.length >= limit) break;
    }
    const parent = { queue: this.queue(reportPlace.name), id: jobIds.report(ref.runId, ref.epoch) };
    return { seen: children.length, ...(await releaseParent(this.#redis, parent, children)) };
  }

  /** Whether the lock of a job is held with this token. */
  async holdsLock(queue: string, jobId: string, token: string): Promise<boolean> {
    return (await this.#redis.get(`${this.#kp}:${queue}:${jobId}:lock`)) === token;
  }

  /** How many jobs below the root have not ended. */
  async openCount(ref: Pick<RunRef, "runId" | "epoch">): Promise<number> {
    return this.#redis.scard(`${this.#kp}:${reportPlace.name}:${jobIds.report(ref.runId, ref.epoch)}:dependencies`);
  }

  /** Forgets what BullMQ keeps in the root of an ended child, so that a run of many chunks stays small. */
  async forgetEndedChild(ref: Pick<RunRef, "runId" | "epoch">, queue: string, jobId: string): Promise<void> {
    const root = `${this.#kp}:${reportPlace.name}:${jobIds.report(ref.runId, ref.epoch)}`;
    await this.#redis.hdel(`${root}:processed`, `${this.#kp}:${queue}:${jobId}`);
  }

  /** The same of all children of a root that is about to end: of those whose worker was lost nobody else does it. */
  async forgetEndedChildren(ref: Pick<RunRef, "runId" | "epoch">): Promise<void> {
    await this.#redis.del(`${this.#kp}:${reportPlace.name}:${jobIds.report(ref.runId, ref.epoch)}:processed`);
  }

  async close(): Promise<void> {
    this.#redis.off("close", this.#forget);
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  #rootOf({ runId, epoch }: Pick<RunRef, "runId" | "epoch">): { id: string; queue: string } {
    return { id: jobIds.report(runId, epoch), queue: this.queue(reportPlace.name).qualifiedName };
  }

  #options(jobId: string, spec: RunSpec): JobsOptions {
    return {
      jobId,
      attempts: 1,
      ...(spec.priority > 0 ? { priority: spec.priority } : {}),
      ignoreDependencyOnFailure: true,
      removeOnComplete: KEEP_COMPLETED,
      removeOnFail: KEEP_FAILED,
      stackTraceLimit: 1,
      keepLogs: 0,
    };
  }
}
