/**
 * The Redis of a test of faults: one with an append-only file, which the test kills, fills or cuts off. As HEADROOM_TEST_REDIS
 * says, it is of another kind (see matrix.ts): then each process connects as its own user, or to three nodes of which the
 * one fails that has the keys.
 */
import { keyPrefix } from "../../src/contract/queues.ts";
import { startWithUsers, useValkey } from "./matrix.ts";
import { RedisCluster } from "./redis-cluster.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";
import { TcpProxy } from "./tcp-proxy.ts";

export type RedisUser = "producer" | "worker" | "scheduler";

export interface FaultRedis extends AsyncDisposable {
  /** The server that fails. */
  readonly server: RedisServer;
  /** For the test itself, which may do anything. */
  readonly url: string;
  readonly urlOf: (user: RedisUser) => string;
  /** Nothing reaches the server any more, and nothing is told of it. */
  cut(): void;
  /** What was sent meanwhile arrives. */
  heal(): void;
}

const AOF = ["--appendonly", "yes"];

/** What fault tests run against; the server of this machine without it. */
export const suiteName = process.env["HEADROOM_TEST_REDIS"];

/** Behind a proxy, `cut` loses packets; else, and of a cluster, the server stands still. */
export interface FaultRedisOptions {
  readonly prefix: string;
  readonly args?: readonly string[];
  readonly isBehindProxy?: boolean;
}

export async function startFaultRedis({ prefix, args = [], isBehindProxy }: FaultRedisOptions): Promise<FaultRedis> {
  const all = [...AOF, ...args];
  switch (suiteName) {
    case "cluster": {
      const cluster = await RedisCluster.start(all);
      const { server } = await cluster.ownerOf(keyPrefix(prefix));
      const { url } = cluster;
      return standing({ server, url, urlOf: () => url, stop: () => cluster[Symbol.asyncDispose]() });
    }
    case "acl": {
      const server = await startWithUsers("default", keyPrefix(prefix), all);
      return isBehindProxy === true
        ? behindProxy(server, (url, user) => url.replace("://", `://${user}:secret@`))
        : standing({ server, url: server.url, urlOf: (user) => server.asUser(user), stop: () => server.stop() });
    }
    case "valkey":
    case undefined: {
      await useSuiteServer();
      const server = await startRedis({ args: all });
      return isBehindProxy === true ? behindProxy(server, (url) => url) : standing(plain(server));
    }
    default:
      throw new Error(`expected a fault test to run on valkey, cluster or acl, found ${suiteName}`);
  }
}

/** For tests that start their servers themselves. */
export async function useSuiteServer(): Promise<void> {
  if (suiteName === "valkey") await useValkey();
}

/** A server that a test started itself. */
export function faultRedisOf(server: RedisServer, url = server.url): FaultRedis {
  return standing({ ...plain(server), url, urlOf: () => url });
}

type Target = Omit<FaultRedis, "cut" | "heal" | typeof Symbol.asyncDispose> & { readonly stop: () => Promise<void> };

function plain(server: RedisServer): Target {
  return { server, url: server.url, urlOf: () => server.url, stop: () => server.stop() };
}

function standing({ stop, ...target }: Target): FaultRedis {
  return {
    ...target,
    cut: () => process.kill(target.server.pid, "SIGSTOP"),
    heal: () => process.kill(target.server.pid, "SIGCONT"),
    [Symbol.asyncDispose]: stop,
  };
}

async function behindProxy(server: RedisServer, as: (url: string, user: string) => string): Promise<FaultRedis> {
  const proxy = await TcpProxy.before(server.socket);
  return {
    server,
    url: as(proxy.url, "default"),
    urlOf: (user) => as(proxy.url, user),
    cut: () => {
      proxy.cut();
    },
    heal: () => {
      proxy.heal();
    },
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await server.stop();
    },
  };
}
