/** The job that is next in a queue: seen before it is claimed, and claimed only if it still is the next one. */
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";
import type { Expectation } from "../../../src/contract/expectation.ts";
import { keyPrefix } from "../../../src/contract/queues.ts";
import { MiB } from "../../../src/contract/resources.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { execPlace, JobQueues } from "../../../src/platform/job-queues.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import type { LiveRun } from "../../../src/platform/run-hash.ts";
import { NotFoundError } from "../../../src/contract/errors.ts";
import { Admissions } from "../../../src/worker/admissions.ts";
import type { GovernorTicket, ReserveQuestion } from "../../../src/worker/governor/governor-port.ts";
import type { Admission } from "../../../src/worker/governor/admission.ts";
import type { Wait } from "../../../src/worker/governor/waiting.ts";
import { Lane, type Wanted } from "../../../src/worker/lane.ts";
import { nextJobs, QueueHeads } from "../../../src/worker/queue-heads.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { deletePrefix, test } from "../../support/redis.ts";

const place = execPlace(
  { profile: "default", resources: { cpuCores: 1, labels: [] } } as unknown as LiveRun["spec"],
  64 * MiB,
);

const only = (jobId: string): Wanted => ({ jobId, isBehind: false, isOnly: true });

/** Files of this size are expected to take as much memory. */
function expected(bytes: number): Expectation {
  const none = { durationMs: undefined, cpuCores: undefined, ioBytesPerSecond: undefined, gpuMemoryBytes: undefined };
  return { basis: "learned", samples: 20, memoryBytes: { p50: bytes / 2, p95: bytes }, shape: undefined, ...none };
}

class Stage implements AsyncDisposable {
  readonly ran: string[] = [];
  readonly heads: QueueHeads;
  readonly lane: Lane;
  readonly queues: JobQueues;
  readonly #redis: Redis;
  readonly #prefix: string;
  nowMs = 0;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
    const kp = keyPrefix(prefix);
    this.queues = new JobQueues(redis, kp);
    const run = {
      runId: "r",
      epoch: 0,
      spec: { resources: {}, profile: "default", command: ["true"] },
    } as unknown as LiveRun;
    this.heads = new QueueHeads({
      next: nextJobs(redis),
      logger: quietLogger,
      clock: { ...systemClock, monotonicMs: () => this.nowMs },
      runs: { loadFor: (id) => (id === "r" ? Promise.resolve(run) : Promise.reject(new NotFoundError("run", id))) },
      learned: {
        ready: () => Promise.resolve(),
        expectChunk: (_run, files) => expected(files[0]?.bytes ?? 0),
        lastsMs: () => 5_000,
        chunkBytes: (_run, files, largestBytes) => Math.min(files[0]?.bytes ?? 0, largestBytes),
      },
      largestJob: { bytes: () => Promise.resolve(80 * MiB) },
    });
    this.lane = new Lane(
      {
        redis,
        logger: quietLogger,
        metrics: new Metrics({ version: "1", process: "worker" }, quietLogger),
        worker: { workerId: "w", startedAtMs: 0 },
        run: ({ job }) => Promise.resolve(void this.ran.push(job.id ?? "")),
        onEnded: () => undefined,
      },
      { prefix: kp, lockMs: 30_000, stalledCheckMs: 15_000 },
      place,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lane.close();
    await this.queues.close();
    await deletePrefix(this.#redis, this.#prefix);
  }

  async add(jobId: string, bytes: number, { priority = 0, runId = "r", delay = 0 } = {}): Promise<void> {
    const data = { runId, epoch: 0, traceId: "t", chunk: jobId, files: [{ index: 0, path: jobId, bytes }] };
    await this.queues.queue(place.name).add("exec", data, { jobId, priority, delay });
  }

  /** The next job as it is seen a second later. */
  async next(): Promise<string | undefined> {
    this.nowMs += 1_000;
    return (await this.heads.look(this.lane))
      ? this.heads.of(place.name).find(({ isBehind }) => !isBehind)?.jobId
      : "none";
  }

  /** Claims, and waits until the job has ended. */
  async claim(wanted?: Wanted): Promise<string> {
    let job: Awaited<ReturnType<Lane["claim"]>> = "none";
    await new Promise<void>((resolve, reject) => {
      this.lane
        .claim(resolve, wanted)
        .then((answer) => {
          job = answer;
          if (typeof answer === "string") resolve();
        })
        .catch(reject);
    });
    return typeof job === "string" ? job : ((job as { id?: string }).id ?? "");
  }
}

/** A governor with so much room, whatever runs, and what it was asked for. */
function governorWith(roomBytes: number) {
  const asked: ReserveQuestion[] = [];
  const passedOver: string[] = [];
  return {
    asked,
    /** Jobs that were let in before others that waited in front of them. */
    passedOver,
    roomBytes,
    tryReserve(question: ReserveQuestion): GovernorTicket | Wait {
      asked.push(question);
      const { memoryBytes } = question.need;
      if (memoryBytes > this.roomBytes) {
        const figures = { need: memoryBytes, have: this.roomBytes, retryAfterMs: 1 };
        return { kind: "defer", code: "MEM_NOW", lacking: "memoryBytes", message: "", ...figures };
      }
      const bind = (jobId: string) => {
        if (question.isBehind === true) passedOver.push(jobId);
      };
      return { kind: "admit", reserved: question.need, bind, release: () => undefined };
    },
    check({ need }: ReserveQuestion): Admission {
      return { kind: need.memoryBytes > this.roomBytes ? "defer" : "admit" } as Admission;
    },
  };
}

describe("the next job of a queue", () => {
  test("is the one that a fetch takes: the first that waits, those with a priority after them", async ({
    redis,
    prefix,
  }) => {
    await using stage = new Stage(redis, prefix);
    expect(await stage.next()).toBe("none");
    await stage.add("third", MiB, { priority: 7 });
    await stage.add("first", MiB);
    await stage.add("fourth", MiB, { priority: 9 });
    await stage.add("second", MiB);
    const seen: (string | undefined)[] = [];
    for (let at = 0; at < 4; at += 1) {
      seen.push(await stage.next());
      expect(await stage.claim()).toBe(seen[at]);
    }
    expect(seen).toEqual(["first", "second", "third", "fourth"]);
    expect(await stage.next()).toBe("none");
  });

  test("is not claimed in place of the one that was looked at: it goes back to where it was, and has not run", async ({
    redis,
    prefix,
  }) => {
    await using stage = new Stage(redis, prefix);
    await stage.add("small", MiB);
    await stage.add("large", 60 * MiB);
    await stage.add("urgent-not", MiB, { priority: 3 });
    expect(await stage.next()).toBe("small");
    // Another worker was quicker.
    expect(await stage.claim(only("small"))).toBe("small");
    expect(await stage.claim(only("small"))).toBe("another");
    expect(stage.ran).toEqual(["small"]);
    expect(await stage.next()).toBe("large");
    expect(await stage.claim(only("large"))).toBe("large");
    expect(await stage.claim(only("large"))).toBe("another");
    await expect.poll(() => stage.claim()).toBe("urgent-not");
    expect(stage.ran).toEqual(["small", "large", "urgent-not"]);
    const counts = await stage.queues.queue(place.name).getJobCounts("completed", "failed");
    expect(counts).toEqual({ completed: 3, failed: 0 });
  });

  test("lets the largest go first that has room; the first of the queue is passed over for ten seconds at most", async ({
    redis,
    prefix,
  }) => {
    await using stage = new Stage(redis, prefix);
    for (const [name, mebibytes] of Object.entries({ first: 60, second: 20, third: 40, fourth: 50 })) {
      await stage.add(name, mebibytes * MiB);
    }
    const governor = governorWith(50 * MiB);
    const load = { shouldYield: () => false, isYielding: () => false, took: () => () => undefined };
    const admissions = new Admissions({ governor, load, heads: stage.heads });
    const letIn = async (): Promise<string> => {
      const ticket = await admissions.admit(stage.lane);
      if (ticket.kind !== "admit") return ticket.kind;
      const ran = await stage.claim(ticket.wanted);
      ticket.bind(ran, "r");
      ticket.release();
      return ran;
    };
    expect(await letIn()).toBe("fourth");
    expect(await letIn()).toBe("third");
    stage.nowMs += 10_000;
    // Room is waited for now, and the small one behind waits too.
    expect(await letIn()).toBe("defer");
    expect(admissions.couldAdmit(stage.lane)).toBe(false);
    governor.roomBytes = 60 * MiB;
    stage.nowMs += 1_000;
    expect(await letIn()).toBe("first");
    expect(await letIn()).toBe("second");
    expect(await letIn()).toBe("empty");
    expect(governor.passedOver).toEqual(["fourth", "third"]);
  });

  test("is one whose delay is over, where none waits and what is next has to be looked at", async ({
    redis,
    prefix,
  }) => {
    await using stage = new Stage(redis, prefix);
    await stage.add("again", MiB, { delay: 200 });
    await stage.add("much later", MiB, { delay: 3_600_000 });
    const need = { memoryBytes: 1, cpuCores: 1, processes: 1 };
    const ticket = { kind: "admit", reserved: need, bind: () => undefined, release: () => undefined } as const;
    // As with several kinds of one profile that have limits of their own.
    const answer = ({ expected: known }: { expected?: unknown }) =>
      known === undefined ? { kind: "defer", code: "CLASS_LIMIT", lacking: "kind" } : ticket;
    const governor = { tryReserve: answer, check: answer } as unknown as ReturnType<typeof governorWith>;
    const load = { shouldYield: () => false, isYielding: () => false, took: () => () => undefined };
    const admissions = new Admissions({ governor, load, heads: stage.heads });
    expect((await admissions.admit(stage.lane)).kind).toBe("empty");
    await expect.poll(async () => (await admissions.admit(stage.lane)).kind).toBe("admit");
    const admitted = await admissions.admit(stage.lane);
    if (admitted.kind !== "admit") throw new Error("expected a ticket");
    expect(await stage.claim(admitted.wanted)).toBe("again");
    admitted.release();
    expect((await admissions.admit(stage.lane)).kind).toBe("empty");
  });

  test("is put first only while it waits: one that another worker has taken changes nothing", async ({
    redis,
    prefix,
  }) => {
    await using stage = new Stage(redis, prefix);
    await stage.add("first", MiB);
    await stage.add("second", MiB);
    expect(await stage.claim({ jobId: "second", isBehind: true, isOnly: true })).toBe("second");
    expect(await stage.claim({ jobId: "second", isBehind: true, isOnly: true })).toBe("another");
    expect(await stage.claim({ jobId: "second", isBehind: true, isOnly: false })).toBe("first");
    expect(stage.ran).toEqual(["second", "first"]);
  });

  test("asks for what it is expected to take, where any job of its size does not fit, and never for more than a worker has", async ({
    redis,
    prefix,
  }) => {
    await using stage = new Stage(redis, prefix);
    const governor = governorWith(50 * MiB);
    const { asked } = governor;
    const load = { shouldYield: () => false, isYielding: () => false, took: () => () => undefined };
    const admissions = new Admissions({ governor, load, heads: stage.heads });
    expect((await admissions.admit(stage.lane)).kind).toBe("empty");
    await stage.add("fits", 46 * MiB);
    await stage.add("learned-more", 400 * MiB);
    await stage.add("of-no-run", MiB, { runId: "gone" });
    const ticket = await admissions.admit(stage.lane);
    expect(ticket).toMatchObject({ kind: "admit", wanted: { jobId: "fits", isBehind: false, isOnly: true } });
    expect(asked.map(({ need }) => need.memoryBytes / MiB)).toEqual([64, 64, 46]);
    expect(asked.at(-1)?.expected).toMatchObject({ jobId: "fits", lastsMs: 5_000 });
    if (ticket.kind === "admit") ticket.bind("fits", "r");
    await stage.claim(only("fits"));
    asked.length = 0;
    expect((await admissions.admit(stage.lane)).kind).toBe("defer");
    expect(asked.map(({ need }) => need.memoryBytes / MiB)).toEqual([64, 80]);
    await stage.claim();
    stage.nowMs += 1_000;
    asked.length = 0;
    governor.roomBytes = 64 * MiB;
    expect(await admissions.admit(stage.lane)).not.toHaveProperty("wanted.isOnly", true);
    expect(asked.map(({ need }) => need.memoryBytes / MiB)).toEqual([64]);
  });
});

test("lanes are served by priority, then unknown kinds, then the most memory for the longest; an empty one is fetched from", async ({
  redis,
  prefix,
}) => {
  await using stage = new Stage(redis, prefix);
  const lane = (name: string) => ({ jobName: "exec", place: { name } }) as unknown as Lane;
  const head = (mebibytes: number, lastsMs: number | undefined, more: { priority?: number; samples?: number } = {}) => {
    const { priority = 0, samples = 20 } = more;
    return { jobId: "j", priority, lastsMs, isBehind: false, expectation: { ...expected(mebibytes * MiB), samples } };
  };
  const known = new Map([
    ["small and short", head(10, 1_000)],
    ["small and long", head(10, 60_000)],
    ["large and short", head(500, 1_000)],
    ["large and late in line", head(900, 60_000, { priority: 5 })],
    ["hardly known", head(400, 60_000, { samples: 2 })],
    ["unknown", head(128, undefined, { samples: 0 })],
  ]);
  const heads = {
    of: (name: string) => [known.get(name) ?? []].flat(),
    look: () => Promise.resolve(true),
    forget: () => undefined,
  };
  const admissions = new Admissions({ heads } as unknown as ConstructorParameters<typeof Admissions>[0]);
  const order = await admissions.inOrder([...known.keys(), "empty"].map(lane));
  expect(order.map((one) => one.place.name)).toEqual([
    "empty",
    "unknown",
    "hardly known",
    "small and long",
    "large and short",
    "small and short",
    "large and late in line",
  ]);
  expect(admissions.isOrderWanted(order)).toBe(true);
  expect(admissions.isOrderWanted([stage.lane])).toBe(false);
});
