/** Messages between the worker's main thread and the thread that owns the launcher. Structured clones; always in order. */
import type { Allow } from "../../contract/allow.ts";
import type { FileResult } from "../../contract/files.ts";
import type { JobGroup } from "../governor/probes/job-group.ts";
import type { Step } from "../governor/step.ts";
import type { ChunkEnd, ChunkRequest, ProcessMeasure, Publication, Starting, UsageSample } from "./chunk-request.ts";

export interface ExecConfig {
  readonly nice: number;
  readonly oomScoreAdj: number;
  /** What runs may use on this worker. */
  readonly allow: Allow;
  /** In which the groups of jobs are made; left out where there are none. */
  readonly groups?: JobGroup | undefined;
}

export type ToThread =
  | { readonly kind: "run"; readonly request: ChunkRequest }
  /** `isSoft`: begin no further file, and what runs may end. */
  | { readonly kind: "abort"; readonly chunkId: string; readonly isSoft: boolean }
  | { readonly kind: "enforce"; readonly step: Step }
  /** The answer to a `starting` or `mayPublish`; `refusal` when the callback rejected. */
  | { readonly kind: "answer"; readonly call: number; readonly allowed: readonly boolean[] }
  | { readonly kind: "refusal"; readonly call: number; readonly isLeaseLost: boolean; readonly message: string }
  | { readonly kind: "stop" };

export type FromThread =
  | { readonly kind: "ready" }
  | { readonly kind: "starting"; readonly chunkId: string; readonly call: number; readonly files: readonly Starting[] }
  | {
      readonly kind: "may-publish";
      readonly chunkId: string;
      readonly call: number;
      readonly items: readonly Publication[];
    }
  | { readonly kind: "results"; readonly chunkId: string; readonly results: readonly FileResult[] }
  | { readonly kind: "reused"; readonly chunkId: string; readonly paths: readonly string[] }
  | { readonly kind: "usage"; readonly sample: UsageSample }
  | { readonly kind: "measured"; readonly chunkId: string; readonly measure: ProcessMeasure }
  | { readonly kind: "end"; readonly chunkId: string; readonly end: Omit<ChunkEnd, "error">; readonly failure?: string }
  | { readonly kind: "warn"; readonly fields: Readonly<Record<string, string | number>>; readonly text: string };
