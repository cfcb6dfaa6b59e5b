/** Finds a Redis server to run as our own: a named one, one on the PATH, or one fetched from the distribution. */
import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { InfrastructureError, InvalidInputError, messageOf } from "../contract/errors.ts";
import { canFetchFromDebian, fetchDebianServer, findFetched, type FetchedServer } from "./debian-fetch.ts";
import type { Logger } from "./logger.ts";
import { isVersionBelow, MIN_REDIS_VERSION } from "./redis-check.ts";

const run = promisify(execFile);

/** A server that runs on this machine. */
export interface RedisBinary {
  readonly path: string;
  readonly version: string;
  readonly source: "HEADROOM_REDIS_SERVER" | "PATH" | "distribution";
  /** What the server's process needs on top of the environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** The one command that gives a machine what `findRedisBinary` looks for. */
export const INSTALL_COMMAND = "sudo apt-get install -y redis-server";

export interface FindOptions {
  readonly logger: Logger;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Looks in this order: HEADROOM_REDIS_SERVER, `valkey-server` then `redis-server` on the PATH, the cache of an earlier
 * fetch, the distribution's packages. Each must start and be new enough.
 * @throws {InfrastructureError} naming the install command, when none is found.
 * @throws {InvalidInputError} when HEADROOM_REDIS_SERVER names something that is not a server.
 */
export async function findRedisBinary({ logger, env = process.env }: FindOptions): Promise<RedisBinary> {
  const binary = (await findNamed(env)) ?? (await findOnPath(env, logger)) ?? (await findDistribution(env, logger));
  const { path, version, source } = binary;
  logger.info({ path, version, source }, "redis server found");
  return binary;
}

async function findNamed(env: NonNullable<FindOptions["env"]>): Promise<RedisBinary | undefined> {
  const path = env["HEADROOM_REDIS_SERVER"];
  if (path === undefined) return undefined;
  const fault = (found: string, cause?: unknown) =>
    new InvalidInputError(
      "environment",
      [{ where: "HEADROOM_REDIS_SERVER", expected: `the path of a redis-server ${MIN_REDIS_VERSION} or newer`, found }],
      { cause },
    );
  if (!isAbsolute(path) || !isExecutable(path)) throw fault(`${JSON.stringify(path)}, which is not an executable file`);
  try {
    return { path, version: await readVersion(path, {}), source: "HEADROOM_REDIS_SERVER", env: {} };
  } catch (error) {
    throw fault(messageOf(error), error);
  }
}

async function findOnPath(env: NonNullable<FindOptions["env"]>, logger: Logger): Promise<RedisBinary | undefined> {
  const folders = (env["PATH"] ?? "").split(delimiter).filter(isAbsolute);
  for (const name of ["valkey-server", "redis-server"]) {
    const path = folders.map((folder) => join(folder, name)).find(isExecutable);
    if (path === undefined) continue;
    try {
      return { path, version: await readVersion(path, {}), source: "PATH", env: {} };
    } catch (err) {
      logger.warn({ err, path }, "redis server on the path cannot be used");
    }
  }
  return undefined;
}

async function findDistribution(env: NonNullable<FindOptions["env"]>, logger: Logger): Promise<RedisBinary> {
  if (!canFetchFromDebian(env["PATH"] ?? "")) {
    throw notFound("none on the PATH, and this is not a Debian or Ubuntu machine with apt to fetch one");
  }
  const cache = join(cacheFolder(env), "redis");
  try {
    const fetched = findFetched(cache) ?? (await fetchDebianServer(cache, logger));
    return await binaryOf(fetched);
  } catch (error) {
    throw notFound(messageOf(error), error);
  }
}

async function binaryOf({ path, libraryPath }: FetchedServer): Promise<RedisBinary> {
  const env = { LD_LIBRARY_PATH: libraryPath };
  return { path, version: await readVersion(path, env), source: "distribution", env };
}

function notFound(found: string, cause?: unknown): InfrastructureError {
  return new InfrastructureError(
    `expected valkey-server or redis-server ${MIN_REDIS_VERSION} or newer, found ${found}; ` +
      `install it with: ${INSTALL_COMMAND} (or name a running one by its URL)`,
    { cause },
  );
}

/** Starts the server only to ask for its version, so that a missing library or a wrong machine is found out here. */
async function readVersion(path: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await run(path, ["--version"], { env: { ...process.env, ...env }, timeout: 10_000 });
  const version = /\bv=(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  if (version === undefined)
    throw new Error(`expected ${path} to print a version, found ${stdout.slice(0, 80).trim()}`);
  if (isVersionBelow(version, MIN_REDIS_VERSION)) {
    throw new Error(`expected version ${MIN_REDIS_VERSION} or newer, found ${version} at ${path}`);
  }
  return version;
}

function cacheFolder(env: NonNullable<FindOptions["env"]>): string {
  const xdg = env["XDG_CACHE_HOME"];
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(env["HOME"] ?? homedir(), ".cache"), "headroom");
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // not there, or not for us
  }
}
