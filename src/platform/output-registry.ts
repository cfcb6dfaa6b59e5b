/** The output folders that the runs of this cluster write to: one hash in Redis, so that overlaps are refused at once. */
import type { Redis } from "ioredis";
import { posix } from "node:path";
import { keys } from "../contract/queues.ts";

/** A folder that is written to, and by which run. */
export interface ListedOutput {
  readonly root: string;
  readonly runId: string;
}

export class OutputRegistry {
  readonly #redis: Redis;
  readonly #key: string;

  constructor(redis: Redis, kp: string) {
    this.#redis = redis;
    this.#key = keys.outputs(kp);
  }

  /** Lists the folder for the run, in place of any other of that run; or the listed one that is in the way. */
  async claim(root: string, runId: string): Promise<ListedOutput | undefined> {
    const found = (await this.#redis.eval(CLAIM, 1, this.#key, rootOf(root), runId)) as [string, string] | null;
    return found === null ? undefined : { root: found[0], runId: found[1] };
  }

  /** Takes the folder off, if it is this run's. */
  async release(root: string, runId: string): Promise<void> {
    await this.#redis.eval(RELEASE, 1, this.#key, rootOf(root), runId);
  }

  async list(): Promise<ListedOutput[]> {
    return Object.entries(await this.#redis.hgetall(this.#key)).map(([root, runId]) => ({ root, runId }));
  }
}

function rootOf(path: string): string {
  return posix.normalize(path).replace(/\/+$/, "") || "/";
}

/**
 * Lists a folder unless another run has it, one above it or one below it. A run has one folder: an earlier one goes.
 * KEYS[1] hash of folder to run. ARGV[1] folder without a trailing slash. ARGV[2] run.
 * Returns nil when it is listed, or the folder and the run that are in the way.
 */
const CLAIM = `
local function below(above, path)
  local start = above == "/" and "/" or above .. "/"
  return string.sub(path, 1, #start) == start
end
local all = redis.call("HGETALL", KEYS[1])
for i = 1, #all, 2 do
  local root, run = all[i], all[i + 1]
  if run ~= ARGV[2] and (root == ARGV[1] or below(root, ARGV[1]) or below(ARGV[1], root)) then return { root, run } end
end
for i = 1, #all, 2 do
  if all[i + 1] == ARGV[2] then redis.call("HDEL", KEYS[1], all[i]) end
end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
return nil
`;

/** Takes a folder off. KEYS[1] hash of folder to run. ARGV[1] folder. ARGV[2] the run that must have it. */
const RELEASE = `
if redis.call("HGET", KEYS[1], ARGV[1]) == ARGV[2] then return redis.call("HDEL", KEYS[1], ARGV[1]) end
return 0
`;
