/** The job catalogue: name to payload schema. The compiler refuses a job name without a handler. */
import { z } from "zod";
import { fileEntry } from "./files.ts";
import type { RunSpec } from "./run-spec.ts";

/** What a job over the files of one chunk carries. */
const chunkPayload = {
  /** Unique in the run and epoch; a retry of chunk 7 is `7-1`, a retry of that `7-1-1`; moved, it is `7-m`. */
  chunk: z.string(),
  files: z.array(fileEntry).min(1),
};
/**
 * The shape of what jobs carry. It goes up when a worker of the version before could not do a job of this one rightly; a
 * field that such a worker may pass over is no reason. Nor is a new field of a run's specification: who does not know it
 * leaves the jobs of that run to others too (`NewerSpecError`).
 */
export const PAYLOAD_VERSION = 1;

const runRef = {
  runId: z.string(),
  epoch: z.int().nonnegative(),
  traceId: z.string(),
  /** `PAYLOAD_VERSION` of who added the job; absent before there was one. */
  version: z.int().positive().optional(),
};

/** The version of what a job carries, whatever else is in it. */
export function payloadVersionOf(data: unknown): number {
  const version: unknown = typeof data === "object" && data !== null ? Reflect.get(data, "version") : undefined;
  return typeof version === "number" ? version : 1;
}

/** What a job carries, marked with the version of this program. */
export function stamped<T extends object>(data: T): T & { readonly version: number } {
  return { ...data, version: PAYLOAD_VERSION };
}

export interface JobDefinition {
  readonly payload: z.ZodType;
}

export const jobs = {
  /** Walks the input of a run and adds its chunks. */
  scan: { payload: z.object({ ...runRef }) },
  /** Runs the binary over the files of one chunk. */
  exec: { payload: z.object({ ...runRef, ...chunkPayload }) },
  /** Runs a model over the files of one chunk. */
  infer: { payload: z.object({ ...runRef, ...chunkPayload }) },
  /** A step of a flow that is no work: its begin, the instances of a fan-out, the answer at a gate, the end of its time. */
  fork: { payload: z.object({ ...runRef, path: z.string(), step: z.enum(["begin", "expand", "gate", "deadline"]) }) },
  /** The root: counts, percentiles, failures; ends the run. */
  report: { payload: z.object({ ...runRef }) },
} satisfies Record<string, JobDefinition>;

export type JobName = keyof typeof jobs;
export type Payload<N extends JobName> = z.output<(typeof jobs)[N]["payload"]>;

/** The jobs that carry the files of a run. */
export type ChunkJobName = "exec" | "infer";

/** The name of the jobs that carry the files of such a run. */
export function chunkJobOf({ executor }: Pick<RunSpec, "executor">): ChunkJobName {
  return executor === "infer" ? "infer" : "exec";
}

export function isChunkJob(name: string): name is ChunkJobName {
  return name === "exec" || name === "infer";
}

export function isJobName(name: string): name is JobName {
  return Object.hasOwn(jobs, name);
}
