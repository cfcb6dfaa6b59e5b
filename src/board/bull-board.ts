/** Bull Board below `/queues`: every queue of the cluster, read-mostly, each job linked to the page of its run. */
import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { BaseAdapter } from "@bull-board/api/baseAdapter";
import type { BoardHooks, HookContext } from "@bull-board/api/typings/app";
import { ExpressAdapter } from "@bull-board/express";
import type { Express, RequestHandler } from "express";
import type { Redis } from "ioredis";
import { keys, runOfJobId } from "../contract/queues.ts";
import type { JobQueues } from "../platform/job-queues.ts";
import type { Logger } from "../platform/logger.ts";

export interface BullBoardDeps {
  readonly redis: Redis;
  readonly queues: JobQueues;
  readonly logger: Logger;
}

export interface BullBoardConfig {
  /** The result of `keyPrefix`. */
  readonly prefix: string;
  readonly allowDestructive: boolean;
}

export const QUEUES_PATH = "/queues";

/** Actions that leave every job able to reach its outcome. What is not named here is refused. */
const harmless: ReadonlySet<string> = new Set([
  "/api/queues/pause",
  "/api/queues/resume",
  "/api/queues/:queueName/pause",
  "/api/queues/:queueName/resume",
  "/api/queues/:queueName/promote",
  "/api/queues/:queueName/:jobId/promote",
  "/api/queues/:queueName/:jobId/priority",
  "/api/queues/:queueName/concurrency",
  "/api/queues/:queueName/rate-limit",
  "/api/queues/:queueName/rate-limit/release",
]);

/** A chunk lists its files: this many are shown. */
const MAX_FILES_SHOWN = 20;

/** The handlers to mount at `QUEUES_PATH`. Queues that appear later are found by the requests after that. */
export function createQueuesView(deps: BullBoardDeps, config: BullBoardConfig): RequestHandler[] {
  const serverAdapter = new ExpressAdapter();
  serverAdapter.setBasePath(QUEUES_PATH);
  const board = createBullBoard({
    queues: [],
    serverAdapter,
    options: {
      handlerHooks: createHooks(deps.logger, config.allowDestructive),
      uiConfig: {
        boardTitle: "Headroom queues",
        hideDocsLink: true,
        miscLinks: [
          { text: "Runs", url: "/" },
          { text: "Workers", url: "/workers" },
        ],
      },
    },
  });
  const adapters = new Map<string, BaseAdapter>();
  const discover: RequestHandler = async (_req, _res, next) => {
    const names = await deps.redis.smembers(keys.queues(config.prefix));
    if (names.some((name) => !adapters.has(name)) || names.length !== adapters.size) {
      for (const name of names) {
        if (!adapters.has(name)) adapters.set(name, adapterOf(deps.queues, name));
      }
      for (const name of adapters.keys()) if (!names.includes(name)) adapters.delete(name);
      board.replaceQueues([...adapters.values()]);
    }
    next();
  };
  return [discover, serverAdapter.getRouter() as Express];
}

function adapterOf(queues: JobQueues, name: string): BaseAdapter {
  const adapter = new BullMQAdapter(queues.queue(name), {
    // BullMQ's own retry would start chunks again whose files have their outcomes; `--resume` is the way.
    allowRetries: false,
    externalJobUrl: (job) => {
      const runId = runOfJobId(String(job.id));
      return { displayText: "Run", href: runId === undefined ? "/" : `/runs/${encodeURIComponent(runId)}` };
    },
  });
  adapter.setFormatter("data", shortenFiles);
  return adapter;
}

/** The payload with its list of files cut, and how many there are in all. */
function shortenFiles(payload: unknown): unknown {
  if (typeof payload !== "object" || payload === null || !("files" in payload)) return payload;
  const { files } = payload;
  if (!Array.isArray(files) || files.length <= MAX_FILES_SHOWN) return payload;
  return { ...payload, files: files.slice(0, MAX_FILES_SHOWN), filesInAll: files.length };
}

function createHooks(logger: Logger, allowDestructive: boolean): BoardHooks {
  return {
    before: ({ method, route, request }: HookContext) => {
      if (method === "get") return { allow: true };
      const allow = allowDestructive || harmless.has(route);
      const params = request.params as Readonly<Record<string, string | undefined>>;
      const target = { queue: params["queueName"], jobId: params["jobId"] };
      logger.info({ audit: true, method, route, ...target, allowed: allow }, "queue action asked for");
      return allow ? { allow } : { allow, status: 403, message: "this action is switched off on this board" };
    },
  };
}
