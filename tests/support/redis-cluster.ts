/** A Redis Cluster of three primaries on loopback, ended with the scope that holds it. */
import { Redis } from "ioredis";
import { systemClock } from "../../src/platform/clock.ts";
import { freePort } from "./free-port.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";

const SLOTS = 16_384;
const SIZE = 3;
const JOIN_MS = 30_000;

interface Node {
  readonly server: RedisServer;
  readonly port: number;
  readonly busPort: number;
  readonly id: string;
}

export class RedisCluster implements AsyncDisposable {
  /** `redis+cluster://…` of all nodes, without a tag. */
  readonly url: string;
  readonly nodes: readonly Node[];

  private constructor(nodes: readonly Node[]) {
    this.nodes = nodes;
    this.url = `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  }

  static async start(args: readonly string[] = []): Promise<RedisCluster> {
    const nodes: Node[] = [];
    for (let at = 0; at < SIZE; at += 1) nodes.push(await startNode(args));
    const cluster = new RedisCluster(nodes);
    const share = Math.ceil(SLOTS / SIZE);
    for (const [at, node] of nodes.entries()) {
      const last = Math.min(SLOTS, (at + 1) * share) - 1;
      await onNode(node, (redis) => redis.call("CLUSTER", "ADDSLOTSRANGE", at * share, last));
      for (const other of nodes)
        await onNode(node, (redis) => redis.call("CLUSTER", "MEET", "127.0.0.1", other.port, other.busPort));
    }
    for (const node of nodes) {
      await untilJoined(node);
    }
    return cluster;
  }

  /** The node that has the slot of this key. */
  async ownerOf(key: string): Promise<Node> {
    const [any] = this.nodes;
    if (any === undefined) throw new Error("expected a cluster with nodes");
    const slot = await onNode(any, (redis) => redis.cluster("KEYSLOT", key));
    const owner = this.nodes[Math.floor(slot / Math.ceil(SLOTS / SIZE))];
    if (owner === undefined) throw new Error(`expected an owner of slot ${slot}`);
    return owner;
  }

  /** Gives the slot of this key, which must hold nothing, to another node. */
  async moveSlot(key: string): Promise<Node> {
    const from = await this.ownerOf(key);
    const to = this.nodes.find((node) => node !== from) ?? from;
    const slot = await onNode(from, (redis) => redis.cluster("KEYSLOT", key));
    for (const node of [to, from, ...this.nodes]) {
      await onNode(node, (redis) => redis.call("CLUSTER", "SETSLOT", slot, "NODE", to.id));
    }
    return to;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server } of this.nodes) await server.stop();
  }
}

/** Also before any test: the global set-up of a suite waits here too. */
async function untilJoined(node: Pick<Node, "port">): Promise<void> {
  const endMs = performance.now() + JOIN_MS;
  for (;;) {
    const info = await onNode(node, (redis) => redis.cluster("INFO"));
    if (/cluster_state:ok[\s\S]*cluster_known_nodes:3/.test(info)) return;
    if (performance.now() > endMs) throw new Error(`expected a node to join its cluster, found:\n${info}`);
    await systemClock.sleep(50);
  }
}

async function startNode(args: readonly string[]): Promise<Node> {
  const [port, busPort] = [await freePort(), await freePort()];
  const own = ["--bind", "127.0.0.1", "--port", String(port), "--cluster-port", String(busPort)];
  const server = await startRedis({
    args: [...own, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", ...args],
  });
  const id = await onNode({ port }, (redis) => redis.call("CLUSTER", "MYID"));
  return { server, port, busPort, id: String(id) };
}

async function onNode<T>({ port }: Pick<Node, "port">, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ host: "127.0.0.1", port });
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}
