/** Reads what the workers say about themselves. A heartbeat of another version is read as far as it goes. */
import type { Redis } from "ioredis";
import { hostname } from "node:os";
import { z } from "zod";
import { keys } from "../contract/queues.ts";
import { workerPace } from "../contract/scaling.ts";
import { enforcedStates, WORKER_ALIVE_MS, type WorkerHeartbeat } from "../contract/status.ts";

const amount = z.number().nullish().catch(null);
const amounts = z
  .object({ memoryBytes: amount, cpuCores: amount, processes: amount })
  .catch({ memoryBytes: null, cpuCores: null, processes: null })
  .transform((read) => {
    const told = Object.entries(read).filter(([, value]) => typeof value === "number");
    return Object.fromEntries(told);
  });
const figure = z.union([z.string(), z.number()]).nullable().catch(null);
const known = z.number().nullable().catch(null);

const heartbeat = z.object({
  workerId: z.string(),
  host: z.string().catch("unknown"),
  pid: z.number().catch(0),
  startedAtMs: z.number().catch(0),
  atMs: z.number(),
  state: z.string().catch("unknown"),
  labels: z.array(z.string()).catch([]),
  capacity: amounts,
  reserved: amounts,
  observed: amounts,
  headroom: amounts,
  devices: z
    .array(
      z.object({
        ...{ name: z.string(), usedBytes: z.number(), totalBytes: z.number() },
        reservedBytes: z.number().optional().catch(undefined),
      }),
    )
    .optional()
    .catch(undefined),
  largestJobBytes: known.optional().transform((bytes) => bytes ?? null),
  largestCardBytes: known.optional(),
  running: z
    .array(
      z.object({
        jobId: z.string(),
        queue: z.string().optional().catch(undefined),
        runId: z.string(),
        sinceMs: z.number(),
        reserved: amounts,
        rssBytes: known,
        expectedBytes: known.optional(),
        gpu: z
          .object({ reservedBytes: z.number(), usedBytes: known, expectedBytes: known })
          .optional()
          .catch(undefined),
        endsAtMs: known.optional().transform((atMs) => atMs ?? null),
        enforced: z
          .object({ state: z.enum(enforcedStates), sinceMs: z.number(), message: z.string() })
          .nullable()
          .catch(null),
      }),
    )
    .catch([]),
  waiting: z
    .array(
      z.object({
        queue: z.string(),
        code: z.string(),
        message: z.string(),
        sinceMs: known,
        etaMs: known,
        need: figure,
        have: figure,
      }),
    )
    .catch([]),
  keepsRoomFor: z
    .object({
      queue: z.string(),
      jobId: z.string().nullable().catch(null),
      waitedMs: z.number().catch(0),
      startsInMs: known,
    })
    .nullable()
    .catch(null),
  pace: z.array(workerPace).optional().catch(undefined),
  version: z.string().optional().catch(undefined),
  payloadVersion: z.number().optional().catch(undefined),
});

/** The heartbeat in the text of the field `json`, or undefined when it is none. */
function parseHeartbeat(text: string): WorkerHeartbeat | undefined {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    // Half a heartbeat is no heartbeat: the worker shows up again with its next one.
    return undefined;
  }
  return heartbeat.safeParse(read).data;
}

/** Whether the worker that sent this still counts as there. */
export function isAlive(worker: WorkerHeartbeat, nowMs: number): boolean {
  return nowMs - worker.atMs <= WORKER_ALIVE_MS && worker.state !== "stopped";
}

/** Whether the process of a worker is there. Known of workers of this machine alone: any other is taken at its word. */
export function isProcessThere({ host, pid }: Pick<WorkerHeartbeat, "host" | "pid">): boolean {
  if (host !== hostname() || pid <= 0) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: another user's process, so it is there.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The last heartbeat of every worker that has one, by host and id. */
export async function loadHeartbeats(redis: Redis, prefix: string): Promise<WorkerHeartbeat[]> {
  const ids = await redis.smembers(keys.workers(prefix));
  const texts = await Promise.all(ids.map((id) => redis.hget(keys.worker(prefix, id), "json")));
  return texts
    .map((text) => (text === null ? undefined : parseHeartbeat(text)))
    .filter((worker) => worker !== undefined)
    .toSorted((a, b) => a.host.localeCompare(b.host) || a.workerId.localeCompare(b.workerId));
}
