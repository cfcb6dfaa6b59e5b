/**
 * How a connection finds its node of a Redis Cluster. All keys of one deployment share one hash tag, so they are in one
 * slot, and one node has them all: a plain connection to that node does everything, scans, scripts over many keys and
 * blocking reads included. The node is asked for at each connect; one that has lost the slot answers MOVED, and the
 * connection is made anew (redis.ts), as after a failover of Sentinel.
 */
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { AbstractConnector, Redis, type RedisOptions } from "ioredis";
import { InfrastructureError, messageOf } from "../contract/errors.ts";
import { keyPrefix } from "../contract/queues.ts";
import type { HostPort } from "./redis-target.ts";

type Stream = Awaited<ReturnType<AbstractConnector["connect"]>>;
type ConnectorClass = NonNullable<RedisOptions["Connector"]>;

export interface ClusterPlace {
  /** Nodes that are asked first. */
  readonly seeds: readonly HostPort[];
  /** The hash tag of all keys. */
  readonly tag: string;
}

/** Answers that say that the slot is elsewhere, is moving, or has no primary right now. */
export const MOVED_ANSWER = /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN)\b/;

const ASK_MS = 2_000;

/** What ioredis makes its connections with, in place of a host and a port. */
export function clusterConnector({ seeds, tag }: ClusterPlace): ConnectorClass {
  /** Shared by all connections of this target: nodes that were seen, for when the named ones are gone. */
  let known: readonly HostPort[] = seeds;
  return class ClusterConnector extends AbstractConnector {
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      super((options as { disconnectTimeout: number }).disconnectTimeout);
      this.#options = options as RedisOptions;
    }

    override async connect(): Promise<Stream> {
      this.connecting = true;
      const { owner, nodes } = await findOwner(known, tag, this.#options);
      known = withoutRepeats([...seeds, ...nodes]);
      if (this.#isClosed()) throw new Error("Connection is closed.");
      const { tls } = this.#options;
      const secure: ConnectionOptions | undefined = tls && { servername: owner.host, ...tls };
      this.stream = secure ? connectTls({ ...owner, ...secure }) : connectTcp(owner);
      this.stream.once("error", (error: Error) => {
        this.firstError = error;
      });
      return this.stream;
    }

    /** Whether it was disconnected while the nodes were asked. */
    #isClosed(): boolean {
      return !this.connecting;
    }
  };
}

interface Found {
  readonly owner: HostPort;
  readonly nodes: readonly HostPort[];
}

/** Asks one node after the other which primary has the slot of the tag. */
async function findOwner(nodes: readonly HostPort[], tag: string, options: RedisOptions): Promise<Found> {
  const reasons: string[] = [];
  for (const node of nodes) {
    try {
      return await askNode(node, tag, options);
    } catch (error) {
      reasons.push(`${node.host}:${node.port}: ${messageOf(error)}`);
    }
  }
  throw new InfrastructureError(
    `expected a node of the cluster to tell where its keys are, found ${reasons.join("; ")}`,
  );
}

async function askNode(node: HostPort, tag: string, { username, password, tls }: RedisOptions): Promise<Found> {
  const redis = new Redis({
    ...node,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls !== undefined && { tls: { servername: node.host, ...tls } }),
    ...{ lazyConnect: true, retryStrategy: null, enableReadyCheck: false },
    ...{ connectTimeout: ASK_MS, commandTimeout: ASK_MS, maxRetriesPerRequest: 0 },
  });
  let failure: Error | undefined;
  redis.on("error", (error: Error) => {
    failure = error;
  });
  try {
    await redis.connect();
    const slot = await redis.cluster("KEYSLOT", keyPrefix(tag));
    return ownerOf(slot, await redis.cluster("SLOTS"), node);
  } catch (error) {
    throw failure ?? error;
  } finally {
    const isOpen = redis.status !== "end";
    redis.disconnect();
    if (isOpen) await once(redis, "end");
  }
}

/** One range of CLUSTER SLOTS: first and last slot, then the primary and its replicas as address, port, id, … */
type SlotRange = readonly [first: number, last: number, ...nodes: (readonly [string | null, number, ...unknown[]])[]];

/** Reads the answer to CLUSTER SLOTS, as `asked` gave it. @throws when nobody has the slot */
export function ownerOf(slot: number, answer: unknown, asked: HostPort): Found {
  const ranges = answer as readonly SlotRange[];
  const placeOf = ([host, port]: readonly [string | null, number, ...unknown[]]): HostPort => ({
    // A node that does not know its own address leaves it out.
    host: host === null || host === "" || host === "?" ? asked.host : host,
    port,
  });
  const nodes = withoutRepeats(ranges.flatMap(([, , ...places]) => places.map(placeOf)));
  const range = ranges.find(([first, last]) => first <= slot && slot <= last);
  const primary = range?.[2];
  if (primary === undefined) throw new Error(`no node has slot ${slot}`);
  return { owner: placeOf(primary), nodes };
}

function withoutRepeats(nodes: readonly HostPort[]): HostPort[] {
  return [...new Map(nodes.map((node) => [`${node.host}:${node.port}`, node])).values()];
}
