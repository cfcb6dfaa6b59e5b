/** The job catalogue: name to payload schema. The compiler refuses a job name without a handler. */
import { z } from "zod";
import { fileEntry } from "./files.ts";

const runRef = { runId: z.string(), epoch: z.int().nonnegative(), traceId: z.string() };

export interface JobDefinition {
  readonly payload: z.ZodType;
}

export const jobs = {
  /** Walks the input of a run and adds its chunks. */
  scan: { payload: z.object({ ...runRef }) },
  /** Runs the binary over the files of one chunk. */
  exec: {
    payload: z.object({
      ...runRef,
      /** Unique in the run and epoch; a retry of chunk 7 is `7-1`, a retry of that `7-1-1`; moved, it is `7-m`. */
      chunk: z.string(),
      files: z.array(fileEntry).min(1),
    }),
  },
  /** The root: counts, percentiles, failures; ends the run. */
  report: { payload: z.object({ ...runRef }) },
} satisfies Record<string, JobDefinition>;

export type JobName = keyof typeof jobs;
export type Payload<N extends JobName> = z.output<(typeof jobs)[N]["payload"]>;

export function isJobName(name: string): name is JobName {
  return Object.hasOwn(jobs, name);
}
