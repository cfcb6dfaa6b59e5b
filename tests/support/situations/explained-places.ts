/** Situations in which a job does not run, or a worker or a profile does nothing. */
import { hostname } from "node:os";
import { jobIds } from "../../../src/contract/queues.ts";
import { GiB } from "../../../src/contract/resources.ts";
import { files, ref } from "../explained-cluster.ts";
import { atLeast, chunkId, holds, idle, large, LONG_AGO_MS, waits, type ExplainedSituation } from "./explained.ts";

const reportId = jobIds.report("r1", 0);

export const places: readonly ExplainedSituation[] = [
  {
    name: "a job whose worker was lost",
    of: chunkId,
    code: "worker-lost",
    words: /^held 1 job, and its last heartbeat is 4\d s old/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.hold(cluster.queue, chunkId);
      await cluster.beat({ atMs: Date.now() - LONG_AGO_MS, running: [holds(chunkId)] });
      await idle(cluster);
    },
    undo: (cluster) => cluster.beat({ workerId: "node-2", running: [holds(chunkId)] }),
    after: "running",
  },
  {
    name: "a job whose worker was lost with all others",
    of: chunkId,
    code: "no-worker",
    words: /^no worker is alive/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.hold(cluster.queue, chunkId);
      await cluster.beat({ atMs: Date.now() - LONG_AGO_MS, running: [holds(chunkId)] });
    },
    undo: idle,
    after: "worker-lost",
  },
  {
    name: "a job of a run that is being cancelled",
    of: chunkId,
    code: "cancelling",
    words: /^its run is being cancelled; nothing of it starts any more$/,
    cause: async (cluster) => {
      await cluster.submit([]);
      await cluster.queues.addChunks(ref, cluster.spec, [{ chunk: "1", files, delayMs: 60_000 }]);
      cluster.state = "cancelling";
    },
    undo: (cluster) => Promise.resolve((cluster.state = "running")),
    after: "backoff",
  },
  {
    name: "a job of a run that has ended",
    of: chunkId,
    code: "ended",
    words: /^its run ended as broken; nothing of it starts any more$/,
    cause: async (cluster) => {
      await cluster.submit();
      await idle(cluster);
      cluster.state = "broken";
    },
    undo: (cluster) => Promise.resolve((cluster.state = "running")),
    after: "queued-behind",
  },
  {
    name: "a job that is too large for every worker",
    of: chunkId,
    code: "UNSCHEDULABLE",
    words: /the nearest one, node-1, takes jobs of 1024 MiB at most$/,
    cause: async (cluster) => {
      cluster.spec = large();
      await cluster.submit(atLeast(8 * GiB));
      await cluster.beat({ largestJobBytes: GiB });
    },
    undo: idle,
    after: "queued-behind",
  },
  {
    name: "a job, while the only worker drains",
    of: chunkId,
    code: "no-worker",
    words: /^every live worker drains/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ state: "draining", waiting: [waits(cluster.queue, "CPU", 5)] });
    },
    undo: (cluster) => cluster.beat(),
    after: "queued-behind",
  },
  {
    name: "a report whose chunk has not ended",
    of: reportId,
    code: "waits-for-children",
    words: /^waits until 1 child has ended$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ waiting: [waits(cluster.queue, "MEM_NOW", 5)] });
    },
    undo: async (cluster) => (await cluster.queues.queue(cluster.queue).getJob(chunkId))?.remove(),
    after: "queued-behind",
  },
  {
    name: "a worker that drains, whatever it said before",
    of: "node-1",
    code: "DRAINING",
    words: /^the worker drains: it ends what runs and claims nothing$/,
    cause: async (cluster) => {
      await cluster.submit();
      const running = [holds("r0.0.c1")];
      await cluster.beat({ state: "draining", running, waiting: [waits(cluster.queue, "MEM_NOW", 5)] });
    },
    undo: (cluster) => cluster.beat(),
    after: "idle",
  },
  {
    name: "a worker whose process is gone",
    of: hostname(),
    code: "no-worker",
    words: /^its process \d+ is gone; what it held goes to others/,
    cause: async (cluster) => {
      cluster.isEmbedded = true;
      await cluster.beat({ host: hostname(), pid: 2 ** 22 + 1 });
    },
    undo: (cluster) => cluster.beat({ host: hostname(), pid: process.pid }),
    after: "idle",
  },
  {
    name: "a worker that was not heard of for long",
    of: "node-1",
    code: "no-worker",
    words: /^its last heartbeat is 4\d s old/,
    cause: (cluster) => cluster.beat({ atMs: Date.now() - LONG_AGO_MS }),
    undo: (cluster) => cluster.beat(),
    after: "idle",
  },
  {
    name: "a profile, while every worker drains",
    of: "default",
    code: "no-worker",
    words: /^every live worker drains/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ state: "draining", waiting: [waits(cluster.queue, "CPU", 5)] });
    },
    undo: (cluster) => cluster.beat(),
    after: "queued-behind",
  },
  {
    name: "a profile that one worker can never serve, and another cannot now",
    of: "default",
    code: "CPU",
    where: "worker node-2",
    words: /^says CPU$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ waiting: [waits(cluster.queue, "UNSCHEDULABLE")] });
      await cluster.beat({ workerId: "node-2", waiting: [waits(cluster.queue, "CPU", 5)] });
    },
    undo: (cluster) => cluster.beat({ workerId: "node-2" }),
    after: "UNSCHEDULABLE",
  },
];
