/** A situation in which something of a cluster does not run: what brings it about, what is told first, and what ends it. */
import { jobIds } from "../../../src/contract/queues.ts";
import { GiB } from "../../../src/contract/resources.ts";
import type { RunningJob, WaitingQueue } from "../../../src/contract/status.ts";
import { testSpec } from "../board-fixture.ts";
import { files, type ExplainedCluster } from "../explained-cluster.ts";

export interface ExplainedSituation {
  readonly name: string;
  /** The id that is asked about. Default: the run. */
  readonly of?: string;
  readonly code: string;
  readonly words: RegExp;
  readonly where?: string;
  readonly cause: (cluster: ExplainedCluster) => Promise<void>;
  readonly undo: (cluster: ExplainedCluster) => Promise<unknown>;
  /** What is told first afterwards. */
  readonly after: string;
}

export const chunkId = jobIds.chunk("r1", 0, "1");
export const LONG_AGO_MS = 40_000;

export function waits(queue: string, code: string, etaMs: number | null = null): WaitingQueue {
  return { queue, code, message: `says ${code}`, sinceMs: 5, etaMs, need: 2, have: 1 };
}

export function holds(jobId: string): RunningJob {
  return { jobId, runId: "r1", sinceMs: 9, reserved: {}, rssBytes: null, endsAtMs: null, enforced: null };
}

/** A worker that has room for the jobs says nothing of their queue. */
export const idle = (cluster: ExplainedCluster) => cluster.beat({ workerId: "idle", labels: ["gpu"] });
export const large = () => testSpec({ resources: { memoryBytes: 8 * GiB } });
export const atLeast = (bytes: number) => [{ chunk: "1", files, memoryBytes: bytes }];
