/** Who keeps room for a large job, in a cluster: governors that agree by leases in a real Redis, in simulated time. */
import { describe, expect } from "vitest";
import { MiB } from "../../../src/contract/resources.ts";
import { keyPrefix, keys } from "../../../src/contract/queues.ts";
import { loadHeartbeats } from "../../../src/platform/worker-heartbeats.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { HEAD_WINDOW } from "../../../src/worker/queue-heads.ts";
import { CommandMonitor } from "../../support/command-monitor.ts";
import { BIG, bigJob, SimulatedClock, SimulatedNode, simulateDrains, SMALL } from "../../support/drain-simulation.ts";
import { FaultCluster, kp as faultKp, PATIENT } from "../../support/fault-cluster.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { test } from "../../support/redis.ts";
import { seeded } from "../../support/seeded.ts";

const small = { queue: SMALL, mebibytes: 1_000, seconds: 60 };

/** Nodes that are each full of small jobs, the first of which end after so many seconds. */
class Cluster implements AsyncDisposable {
  readonly clock = new SimulatedClock();
  readonly nodes: readonly SimulatedNode[];

  constructor(at: ConstructorParameters<typeof SimulatedNode>[2], endSeconds: readonly number[]) {
    this.nodes = endSeconds.map((seconds, one) => {
      const node = new SimulatedNode(`node-${one + 1}`, this.clock, at);
      node.longWaits.share();
      for (let job = 0; job < 3; job += 1) expect(node.start({ ...small, seconds })).toBe(true);
      return node;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
  }

  /** A second on each of these nodes: what waits asks again, and the leases are renewed. */
  async second(nodes = this.nodes): Promise<void> {
    this.clock.ms += 1_000;
    for (const node of nodes) {
      node.endOver();
      node.start(bigJob);
      node.noteBacklog([BIG]);
    }
    for (const { leases } of nodes) await leases.renew();
  }

  async seconds(count: number): Promise<void> {
    for (let second = 0; second < count; second += 1) await this.second();
  }

  get keepers(): string[] {
    return this.nodes.filter(({ keepsRoomFor }) => keepsRoomFor === BIG).map(({ id }) => id);
  }
}

describe("room for a large job", () => {
  test("is kept by the one worker that can start it soonest, and the others go on", async ({ redis, prefix }) => {
    await using cluster = new Cluster({ redis, kp: keyPrefix(prefix) }, [50, 40, 60, 70]);
    await cluster.seconds(13);
    expect(cluster.keepers).toEqual(["node-2"]);
    const fits = { queue: SMALL, mebibytes: 800, seconds: 60 };
    expect(cluster.nodes.map((node) => node.start(fits))).toEqual([true, false, true, true]);
    const told = await cluster.nodes[1]?.metrics.expose();
    expect(told).toMatch(/headroom_room_leases_total\{[^}]*event="taken"[^}]*\} 1/);
    await cluster.seconds(28);
    expect(cluster.nodes.map(({ running }) => running.filter(({ queue }) => queue === BIG).length)).toEqual([
      0, 1, 0, 0,
    ]);
    for (const node of cluster.nodes) node.noteBacklog([]);
    for (const { leases } of cluster.nodes) await leases.renew();
    expect(await redis.exists(keys.drains(keyPrefix(prefix)))).toBe(0);
  });

  test("is kept by another once its keeper is heard of no more", { timeout: 30_000 }, async ({ redis, prefix }) => {
    await using cluster = new Cluster({ redis, kp: keyPrefix(prefix) }, [50, 40, 60]);
    await cluster.seconds(13);
    expect(cluster.keepers).toEqual(["node-2"]);
    // Killed: nothing runs there any more, and nothing is given back.
    const left = cluster.nodes.filter(({ id }) => id !== "node-2");
    const keepers = async () => {
      for (const { leases } of left) await leases.renew();
      return left.filter(({ keepsRoomFor }) => keepsRoomFor === BIG).map(({ id }) => id);
    };
    expect(await keepers()).toEqual([]);
    await expect.poll(keepers, { timeout: 20_000, interval: 200 }).toEqual(["node-1"]);
  });

  test("is given back by a worker that stops", async ({ redis, prefix }) => {
    await using cluster = new Cluster({ redis, kp: keyPrefix(prefix) }, [50, 40, 60]);
    await cluster.seconds(13);
    await cluster.nodes[1]?.leases.stop();
    await cluster.second(cluster.nodes.filter(({ id }) => id !== "node-2"));
    expect(cluster.nodes.filter(({ id }) => id !== "node-2").map(({ keepsRoomFor }) => keepsRoomFor)).toEqual([
      BIG,
      undefined,
    ]);
  });

  test("costs no command while nothing waits long, and none once it was given back", async ({ redis, prefix }) => {
    const kp = keyPrefix(prefix);
    await using monitor = await CommandMonitor.open(redis);
    await using cluster = new Cluster({ redis, kp }, [13, 40]);
    const sent = async () => {
      const marker = `end-${monitor.sent.length}`;
      const seen = monitor.next(({ args }) => args[0] === marker);
      await redis.echo(marker);
      await seen;
      return monitor.sent.splice(0).filter(({ args }) => args.includes(keys.drains(kp))).length;
    };
    await cluster.seconds(9);
    expect(await sent()).toBe(0);
    await cluster.seconds(3);
    expect(await sent()).toBeGreaterThan(0);
    await cluster.second();
    for (const node of cluster.nodes) node.noteBacklog([]);
    for (const { leases } of cluster.nodes) await leases.renew();
    await sent();
    for (const { leases } of cluster.nodes) await leases.renew();
    expect(await sent()).toBe(0);
  });

  test("is kept by each worker for itself while Redis is away", async ({ redisUrl, prefix }) => {
    const away = openRedis(redisUrl, "command", quietLogger);
    await away.ping();
    await closeRedis(away);
    await using cluster = new Cluster({ redis: away, kp: keyPrefix(prefix) }, [50, 40]);
    await cluster.seconds(13);
    expect(cluster.keepers).toEqual([]);
    await cluster.seconds(4);
    expect(cluster.keepers).toEqual(["node-1", "node-2"]);
  });
});

describe("a flood of small jobs and a large one every two minutes on four machines, in simulated time", () => {
  test.for([7, 12])(
    "one keeps room at a time, and little is lost, seed %i",
    { timeout: 60_000 },
    async (seed, { redis, prefix }) => {
      const cluster = { redis, kp: keyPrefix(prefix) };
      const load = { nodes: 4, seconds: 900, bigEverySeconds: 120, agree: "leases" } as const;
      const bound = await simulateDrains({ ...load, bigEverySeconds: undefined }, seeded(seed), cluster);
      const { bigs, mostKeepers, utilisation } = await simulateDrains(load, seeded(seed), cluster);
      const alone = await simulateDrains({ ...load, agree: "alone" }, seeded(seed), cluster);
      expect(bigs).toHaveLength(7);
      for (const { waitedSeconds, earliestSeconds } of bigs) expect(waitedSeconds - earliestSeconds).toBeLessThan(10);
      expect(mostKeepers).toBe(1);
      expect(utilisation).toBeGreaterThan(bound.utilisation - 0.02);
      expect(alone.mostKeepers).toBe(4);
      expect(alone.utilisation).toBeLessThan(bound.utilisation - 0.05);
    },
  );
});

describe("the same on one machine, where there is no other to go on", () => {
  test.for([7, 12])(
    "little is lost while what ends before is let in, of as many jobs as a worker looks at, seed %i",
    { timeout: 60_000 },
    async (seed, { redis, prefix }) => {
      const cluster = { redis, kp: keyPrefix(prefix) };
      const load = { nodes: 1, seconds: 900, bigEverySeconds: 120, agree: "alone", window: HEAD_WINDOW } as const;
      const bound = await simulateDrains({ ...load, bigEverySeconds: undefined }, seeded(seed), cluster);
      const { bigs, utilisation } = await simulateDrains(load, seeded(seed), cluster);
      expect(bigs).toHaveLength(7);
      for (const { waitedSeconds, earliestSeconds } of bigs) expect(waitedSeconds - earliestSeconds).toBeLessThan(10);
      expect(utilisation).toBeGreaterThan(bound.utilisation - 0.02);
      // Looking at the next one alone, as if nothing behind it could be let in, it costs far more.
      const one = await simulateDrains({ ...load, window: 1 }, seeded(seed), cluster);
      expect(one.utilisation).toBeLessThan(utilisation - 0.05);
    },
  );
});

test("of two worker processes one keeps room, and explain names it", { timeout: 120_000 }, async () => {
  await using cluster = await FaultCluster.open();
  for (const id of ["a", "b"]) await cluster.worker({ id, memoryMaxBytes: 512 * MiB });
  cluster.files(2);
  const one = { chunk: { maxFiles: 1 } };
  await cluster.run(cluster.spec("sleep 100", { ...one, resources: { memoryBytes: 300 * MiB } }));
  const beats = () => loadHeartbeats(cluster.keys, faultKp);
  const chunks = async () =>
    (await beats()).map(({ running }) => running.filter(({ jobId }) => jobId.includes(".c")).length);
  await expect.poll(chunks, PATIENT).toEqual([1, 1]);
  const output = cluster.scratch.folder("out-big");
  const spec = cluster.spec("true", { ...one, resources: { memoryBytes: 400 * MiB } });
  const big = await cluster.run({ ...spec, output: { root: output, from: "file" } });
  const keepers = async () => (await beats()).flatMap(({ keepsRoomFor }) => keepsRoomFor ?? []);
  await expect.poll(keepers, PATIENT).toHaveLength(1);
  const [kept] = await keepers();
  expect(kept).toMatchObject({ jobId: expect.stringContaining(big) as string });
  const reasons = (await cluster.client.explain(big)).reasons.filter(({ code }) => code === "room-kept");
  expect(reasons).toMatchObject([{ message: expect.stringContaining(`keeps room for job ${kept?.jobId}`) as string }]);
});
