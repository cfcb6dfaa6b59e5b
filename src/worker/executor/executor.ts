/** The seam between lanes and what jobs do: one handler per job name. */
import type { Job } from "bullmq";
import type { JobName, Payload } from "../../contract/jobs.ts";
import type { NodeCancels } from "./node-cancels.ts";

/** What a handler gets beside its payload. */
export interface JobContext {
  readonly job: Job;
  readonly token: string;
  /** Aborted with a reason: `HandBack`, `LeaseLostError` or `RunCancelled`. */
  readonly signal: AbortSignal;
  /** Of a job of a flow: its nodes that are cancelled while it goes on. */
  readonly cancels: NodeCancels;
}

export type Handler<N extends JobName> = (payload: Payload<N>, context: JobContext) => Promise<void>;
export type Handlers = { readonly [N in JobName]: Handler<N> };

/** The reason with which the jobs of a cancelled run are aborted. */
export class RunCancelled extends Error {
  constructor(runId: string) {
    super(`run ${runId} was cancelled`);
    this.name = "RunCancelled";
  }
}
