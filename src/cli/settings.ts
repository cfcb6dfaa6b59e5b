/** Where things are: data folder, Redis, store, prefix, log level; from options first, then the environment. */
import { join } from "node:path";
import type { Config, Durability } from "../contract/config.ts";
import { InvalidInputError, type Fault } from "../contract/errors.ts";
import { gather } from "../contract/gather.ts";
import { DEFAULT_PREFIX, keyPrefix } from "../contract/queues.ts";
import { openHome } from "../platform/home.ts";
import { logLevels, type LogLevel } from "../platform/logger.ts";
import { parseRedisTarget, targetOfPrefix } from "../platform/redis-target.ts";
import { parseStoreUrl } from "../store/store-url.ts";
import type { Io } from "./io.ts";

/** The options that every command which reaches a cluster has. */
export interface PlaceOptions {
  readonly home?: string;
  readonly redis?: string;
  readonly store?: string;
  readonly prefix?: string;
}

/** Where this command works. */
export interface Place {
  /** The data folder; it exists. */
  readonly home: string;
  /** Undefined: the embedded Redis of the data folder. */
  readonly redisUrl: string | undefined;
  readonly storeUrl: string;
  readonly prefix: string;
  /** The prefix as keys carry it. */
  readonly kp: string;
  /** What Redis is asked to keep; undefined: a person is told. */
  readonly durability: Durability | undefined;
}

/** What a configuration file says about the same. */
export interface PlaceDefaults {
  readonly redisUrl?: string | undefined;
  readonly storeUrl?: string | undefined;
  readonly prefix?: string | undefined;
  readonly durability?: Durability | undefined;
}

/** The parts of a configuration that say where things are. */
export function placeDefaultsOf({ redis, store }: Pick<Config, "redis" | "store">): PlaceDefaults {
  return { redisUrl: redis.url, storeUrl: store.url, prefix: redis.prefix, durability: redis.durability };
}

type Environment = Io["env"];

/** @throws {InvalidInputError} naming each option or variable that is not what it must be */
export function openPlace(options: PlaceOptions, io: Io, defaults: PlaceDefaults = {}): Place {
  const faults: Fault[] = [];
  const pick = (option: string | undefined, name: string, variable: string): string | undefined => {
    const value = option ?? io.env[variable];
    const where = option === undefined ? variable : name;
    if (value?.trim() !== "") return value;
    faults.push({ where, expected: "a value", found: "an empty one" });
    return undefined;
  };
  const redisUrl = pick(options.redis, "--redis", "HEADROOM_REDIS_URL") ?? defaults.redisUrl;
  const storeUrl = pick(options.store, "--store", "HEADROOM_STORE_URL") ?? defaults.storeUrl;
  const prefix = pick(options.prefix, "--prefix", "HEADROOM_REDIS_PREFIX") ?? defaults.prefix ?? DEFAULT_PREFIX;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(prefix)) {
    faults.push({ where: "prefix", expected: "letters, digits, - and _, 64 at most", found: JSON.stringify(prefix) });
  }
  const target = redisUrl === undefined ? undefined : gather(faults, () => checkedTarget(redisUrl, prefix));
  if (storeUrl !== undefined) gather(faults, () => parseStoreUrl(storeUrl));
  const home = gather(faults, () => openHome({ home: options.home, env: io.env }));
  if (faults.length > 0 || home === undefined) throw new InvalidInputError("command line", faults);
  const kp = keyPrefix(prefix);
  const { durability } = defaults;
  return { home, redisUrl: target, storeUrl: storeUrl ?? embeddedStoreUrl(home), prefix, kp, durability };
}

/** The target, with the prefix whose keys it is to find. @throws {InvalidInputError} when it is none */
function checkedTarget(url: string, prefix: string): string {
  parseRedisTarget(url);
  return targetOfPrefix(url, prefix);
}

/** The store below the data folder. */
export function embeddedStoreUrl(home: string): string {
  return `sqlite:${join(home, "headroom.db")}`;
}

/** Whether the processes of the cluster have the data folder in common: its Redis is embedded there, or its store lies there. */
export function isHomeShared({ home, redisUrl, storeUrl }: Place): boolean {
  return redisUrl === undefined || storeUrl === embeddedStoreUrl(home);
}

/** HEADROOM_LOG, or what the configuration says. @throws {InvalidInputError} */
export function logLevelOf(env: Environment, fallback: LogLevel = "info"): LogLevel {
  const value = env["HEADROOM_LOG"];
  if (value === undefined) return fallback;
  const level = logLevels.find((known) => known === value);
  if (level !== undefined) return level;
  throw new InvalidInputError("environment", [
    { where: "HEADROOM_LOG", expected: logLevels.join(", "), found: JSON.stringify(value) },
  ]);
}

/** Whether errors are shown with all they carry. */
export function isDebugging(env: Environment): boolean {
  return env["HEADROOM_LOG"] === "debug";
}
