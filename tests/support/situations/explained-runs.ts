/** Situations in which a run does not run. */
import { hostname } from "node:os";
import { jobIds, keys } from "../../../src/contract/queues.ts";
import { GiB } from "../../../src/contract/resources.ts";
import { reportPlace, scanPlace } from "../../../src/platform/job-queues.ts";
import { testSpec } from "../board-fixture.ts";
import { attempt, files, ref } from "../explained-cluster.ts";
import { atLeast, chunkId, holds, idle, large, LONG_AGO_MS, waits, type ExplainedSituation } from "./explained.ts";

const scanId = jobIds.scan("r1", 0);
const withLabel = () => testSpec({ resources: { labels: ["gpu"] } });

export const runs: readonly ExplainedSituation[] = [
  {
    name: "no worker is there",
    code: "no-worker",
    words: /^no worker is alive; start one with: headroom worker$/,
    cause: (cluster) => cluster.submit(),
    undo: idle,
    after: "queued-behind",
  },
  {
    name: "the only process of an embedded run has gone",
    code: "no-worker",
    words: /^no worker is alive; to go on with the run: headroom run --resume r1; to end it: headroom cancel r1$/,
    cause: async (cluster) => {
      cluster.isEmbedded = true;
      await cluster.submit();
      await cluster.beat({ host: hostname(), pid: 2 ** 22 + 1 });
    },
    undo: (cluster) => cluster.beat({ host: hostname(), pid: process.pid }),
    after: "queued-behind",
  },
  {
    name: "the last worker was lost, and held nothing of the run",
    code: "no-worker",
    words: /^no worker is alive/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ atMs: Date.now() - LONG_AGO_MS, waiting: [waits(cluster.queue, "MEM_NOW")] });
    },
    undo: idle,
    after: "queued-behind",
  },
  {
    name: "no worker carries the labels",
    code: "no-worker-with-labels",
    words: /all the labels that are needed: gpu$/,
    cause: async (cluster) => {
      cluster.spec = withLabel();
      await cluster.submit();
      await cluster.beat();
    },
    undo: idle,
    after: "queued-behind",
  },
  {
    name: "the one that carries the labels drains",
    code: "no-worker-with-labels",
    words: /all the labels that are needed: gpu$/,
    cause: async (cluster) => {
      cluster.spec = withLabel();
      await cluster.submit();
      await cluster.beat();
      await cluster.beat({ workerId: "gpu-1", labels: ["gpu"], state: "draining" });
    },
    undo: async (cluster) => {
      await cluster.forget("gpu-1");
      await idle(cluster);
    },
    after: "queued-behind",
  },
  {
    name: "the only worker drains, whatever it said before",
    code: "no-worker",
    words: /^every live worker drains and claims nothing; start one with: headroom worker$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ state: "draining", waiting: [waits(cluster.queue, "MEM_NOW", 5)] });
    },
    undo: async (cluster) => {
      await cluster.forget("node-1");
      await idle(cluster);
    },
    after: "queued-behind",
  },
  {
    name: "one worker drains, and the other has no room",
    code: "CPU",
    where: "worker node-2",
    words: /^says CPU$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ state: "draining", waiting: [waits(cluster.queue, "MEM_NOW", 5)] });
      await cluster.beat({ workerId: "node-2", waiting: [waits(cluster.queue, "CPU", 9_000)] });
    },
    undo: (cluster) => cluster.beat({ workerId: "node-2" }),
    after: "DRAINING",
  },
  {
    name: "one worker is paused, and the other is too small for ever",
    code: "PAUSED",
    where: "worker node-2",
    words: /^says PAUSED$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ waiting: [waits(cluster.queue, "UNSCHEDULABLE")] });
      await cluster.beat({ workerId: "node-2", waiting: [waits(cluster.queue, "PAUSED")] });
    },
    undo: (cluster) => cluster.beat({ workerId: "node-2" }),
    after: "UNSCHEDULABLE",
  },
  {
    name: "one worker is too small for ever, and a larger one has no room now",
    code: "MEM_NOW",
    where: "worker node-2",
    words: /^says MEM_NOW$/,
    cause: async (cluster) => {
      cluster.spec = large();
      await cluster.submit(atLeast(8 * GiB));
      await cluster.beat({ largestJobBytes: GiB, waiting: [waits(cluster.queue, "UNSCHEDULABLE")] });
      await cluster.beat({ workerId: "node-2", waiting: [waits(cluster.queue, "MEM_NOW", 9_000)] });
    },
    undo: (cluster) => cluster.beat({ workerId: "node-2" }),
    after: "UNSCHEDULABLE",
  },
  {
    name: "two have no room: the one that has some sooner is told first",
    code: "PROCESSES",
    where: "worker node-2",
    words: /^says PROCESSES$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ waiting: [waits(cluster.queue, "DISK_SPACE")] });
      await cluster.beat({ workerId: "node-2", waiting: [waits(cluster.queue, "PROCESSES", 1_000)] });
      await cluster.beat({ workerId: "node-3", waiting: [waits(cluster.queue, "MEM_NOW", 30_000)] });
    },
    undo: (cluster) => cluster.forget("node-2"),
    after: "MEM_NOW",
  },
  {
    name: "it is too large for every worker",
    code: "UNSCHEDULABLE",
    words: /each needs 8192 MiB of memory, and the nearest one, node-2, takes jobs of 4096 MiB at most$/,
    cause: async (cluster) => {
      cluster.spec = large();
      await cluster.submit(atLeast(8 * GiB));
      await cluster.beat({ largestJobBytes: GiB, waiting: [waits(cluster.queue, "UNSCHEDULABLE")] });
      await cluster.beat({ workerId: "node-2", largestJobBytes: 4 * GiB });
    },
    undo: (cluster) => cluster.beat({ workerId: "node-3", largestJobBytes: 14 * GiB }),
    after: "UNSCHEDULABLE",
  },
  {
    name: "a worker was lost with a job of it, and others are idle",
    code: "worker-lost",
    where: "worker node-1",
    words: /^held 1 job, and its last heartbeat is 4\d s old; others get what it held once its locks have run out$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.hold(cluster.queue, chunkId);
      await cluster.beat({ atMs: Date.now() - LONG_AGO_MS, running: [holds(chunkId)] });
      await idle(cluster);
    },
    undo: (cluster) => cluster.giveBack(cluster.queue, chunkId),
    after: "queued-behind",
  },
  {
    name: "the worker of its scan was lost",
    code: "worker-lost",
    words: /^held 1 job, and its last heartbeat/,
    cause: async (cluster) => {
      await cluster.submit("scan");
      await cluster.hold(scanPlace.name, scanId);
      await cluster.beat({ atMs: Date.now() - LONG_AGO_MS, running: [holds(scanId)] });
      await idle(cluster);
    },
    undo: (cluster) => cluster.beat({ running: [holds(scanId)] }),
    after: "running",
  },
  {
    name: "its scan goes on",
    code: "scanning",
    words: /^the scan goes on, 0 files so far$/,
    cause: async (cluster) => {
      await cluster.submit("scan");
      await cluster.hold(scanPlace.name, scanId);
      await idle(cluster);
    },
    undo: (cluster) => cluster.giveBack(scanPlace.name, scanId),
    after: "queued-behind",
  },
  {
    name: "its scan waits for a worker that is paused",
    code: "PAUSED",
    words: /^says PAUSED$/,
    cause: async (cluster) => {
      await cluster.submit("scan");
      await cluster.beat({ waiting: [waits(scanPlace.name, "PAUSED")] });
    },
    undo: (cluster) => cluster.beat(),
    after: "queued-behind",
  },
  {
    name: "its scan waits in a queue that is paused",
    code: "queue-paused",
    words: /^the queue is paused; to let it go on: headroom queues resume [a-z]+\.[a-z0-9_-]+@\d+$/,
    where: `queue ${scanPlace.name}`,
    cause: async (cluster) => {
      await cluster.submit("scan");
      await idle(cluster);
      await cluster.queues.queue(scanPlace.name).pause();
    },
    undo: (cluster) => cluster.queues.queue(scanPlace.name).resume(),
    after: "queued-behind",
  },
  {
    name: "its scan waits, while chunks of another run find no room in the queue of its own",
    code: "queued-behind",
    words: /^the scan waits in its queue$/,
    cause: async (cluster) => {
      await cluster.queues.addRun({ ...ref, runId: "r2" }, cluster.spec, [{ chunk: "1", files }]);
      await cluster.submit("scan");
      await cluster.beat({ waiting: [waits(cluster.queue, "MEM_NOW", 5)] });
    },
    undo: (cluster) => cluster.hold(scanPlace.name, scanId),
    after: "scanning",
  },
  {
    name: "its report waits for a worker that is paused",
    code: "PAUSED",
    words: /^says PAUSED$/,
    cause: async (cluster) => {
      await cluster.submit([]);
      await cluster.beat({ waiting: [waits(reportPlace.name, "PAUSED")] });
    },
    undo: (cluster) => cluster.beat(),
    after: "queued-behind",
  },
  {
    name: "its chunk is tried again later",
    code: "backoff",
    words: /^1 job waiting for another try; the first one: .* after infrastructure of a: no space/,
    cause: async (cluster) => {
      cluster.attempts = [attempt("retried", "no space")];
      await cluster.submit([]);
      await cluster.queues.addChunks(ref, cluster.spec, [{ chunk: "1", files, delayMs: 60_000 }]);
      await idle(cluster);
    },
    undo: async (cluster) => (await cluster.queues.queue(cluster.queue).getJob(chunkId))?.promote(),
    after: "queued-behind",
  },
  {
    name: "the disk of its outputs is full",
    code: "DISK_FULL",
    words: /^the disk of \/data\/out has no room: 1 MiB free/,
    cause: async (cluster) => {
      await cluster.submit();
      const room = { freeBytes: 2 ** 20, needBytes: 2 ** 21, atMs: Date.now() };
      await cluster.redis.hset(keys.run(cluster.kp, "r1"), "room", JSON.stringify(room));
      await cluster.beat({ waiting: [waits(cluster.queue, "MEM_NOW", 5)] });
    },
    undo: (cluster) => cluster.redis.hdel(keys.run(cluster.kp, "r1"), "room"),
    after: "MEM_NOW",
  },
  {
    name: "its jobs were never added, and no scheduler is there to add them",
    code: "not-submitted",
    words: /; no scheduler is at work that would add them; start one with: headroom scheduler$/,
    cause: idle,
    undo: (cluster) => cluster.submit(),
    after: "queued-behind",
  },
  {
    name: "its jobs were never added, and a scheduler is about to add them",
    code: "not-submitted",
    words: /; the scheduler is about to add them$/,
    cause: async (cluster) => {
      await idle(cluster);
      await cluster.redis.set(keys.leader(cluster.kp), "scheduler-1");
    },
    undo: (cluster) => cluster.submit(),
    after: "queued-behind",
  },
  {
    name: "it is being cancelled",
    code: "cancelling",
    words: /^cancelling: 1 job still held by workers$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ running: [holds(chunkId)], waiting: [waits(cluster.queue, "MEM_NOW", 5)] });
      cluster.state = "cancelling";
    },
    undo: (cluster) => Promise.resolve((cluster.state = "broken")),
    after: "ended",
  },
  {
    name: "a worker runs it, and another is too small",
    code: "running",
    words: /^runs 1 job of this run$/,
    cause: async (cluster) => {
      await cluster.submit();
      await cluster.beat({ waiting: [waits(cluster.queue, "UNSCHEDULABLE")] });
      await cluster.beat({ workerId: "node-2", running: [holds(chunkId)] });
    },
    undo: (cluster) => cluster.forget("node-2"),
    after: "UNSCHEDULABLE",
  },
];
