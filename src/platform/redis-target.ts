/** Where Redis is, read from one URL. Never puts a password into a text. */
import type { RedisOptions } from "ioredis";
import { InvalidInputError } from "../contract/errors.ts";
import { DEFAULT_PREFIX } from "../contract/queues.ts";

/** The part of ioredis' options that says where to connect, and as whom. */
type TargetOption = "host" | "port" | "path" | "db" | "username" | "password" | "tls";
type SentinelOption = "sentinels" | "name" | "sentinelPassword";

export interface RedisTarget {
  readonly options: Readonly<Pick<RedisOptions, TargetOption | SentinelOption | "enableTLSForSentinelMode">>;
  /** Nodes of a Redis Cluster that are asked where its keys are; undefined for any other target. */
  readonly cluster?: { readonly seeds: readonly HostPort[]; readonly tag: string };
  /** The target without its password, for errors and log lines. */
  readonly text: string;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const EXPECTED =
  "redis://, rediss://, unix:///path?db=N, redis+sentinel://host:port,…/master-name[/db] or redis+cluster://host:port,…";
const SENTINEL_PORT = 26_379;
const REDIS_PORT = 6_379;

/** @throws {InvalidInputError} for a URL of another kind, without ever repeating its password. */
export function parseRedisTarget(target: string): RedisTarget {
  const scheme = /^([a-z+]+):\/\//i.exec(target)?.[1]?.toLowerCase() ?? "";
  switch (scheme) {
    case "redis":
    case "rediss":
      return parseTcp(target, scheme === "rediss");
    case "unix":
      return parseUnix(target);
    case "redis+sentinel":
      return parseSentinel(target);
    case "redis+cluster":
      return parseCluster(target);
    default:
      throw invalid(EXPECTED, target);
  }
}

/** The URL of a server behind a unix socket. */
export function unixTarget(socketPath: string): string {
  return `unix://${socketPath.split("/").map(encodeURIComponent).join("/")}`;
}

/**
 * A target that finds the keys of a prefix: on a Redis Cluster all keys of one deployment are in one slot, and a connection
 * goes to the node that has it. Other targets, and those that name a tag, stay as they are.
 */
export function targetOfPrefix(target: string, prefix: string): string {
  if (!/^redis\+cluster:/i.test(target) || /[?&]tag=/.test(target)) return target;
  return `${target}${target.includes("?") ? "&" : "?"}tag=${encodeURIComponent(prefix)}`;
}

/** A URL for people: the password, and anything else in front of the host, is left out. */
export function withoutPassword(target: string): string {
  return target.replace(/^([a-z+]+:\/\/)[^/]*@/i, "$1***@").replace(/([?&][a-z]*password=)[^&]*/gi, "$1***");
}

function parseTcp(target: string, isTls: boolean): RedisTarget {
  if (!URL.canParse(target)) throw invalid("a URL such as redis://host:6379/0", target);
  const url = new URL(target);
  if (url.hostname === "") throw invalid("a host after redis://", target);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? REDIS_PORT : Number(url.port);
  const db = parseDb(url.pathname.slice(1) || url.searchParams.get("db"), target);
  const account = accountOf(url.username, url.password, target);
  return {
    options: { host, port, db, ...account, ...(isTls && { tls: { servername: host } }) },
    text: `${url.protocol}//${url.hostname}:${port}/${db}`,
  };
}

function parseUnix(target: string): RedisTarget {
  const [, user = "", password = "", encoded = "", query = ""] =
    /^unix:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?(\/[^?#]*)(?:\?(.*))?$/i.exec(target) ?? [];
  if (encoded === "") throw invalid("an absolute path, as in unix:///path/redis.sock", target);
  const path = decode(encoded, target);
  const db = parseDb(new URLSearchParams(query).get("db"), target);
  const account = accountOf(user, password, target);
  return { options: { path, db, ...account }, text: `unix://${path}${db === 0 ? "" : `?db=${db}`}` };
}

function parseSentinel(target: string): RedisTarget {
  const form = /^redis\+sentinel:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/?]+)\/([^/?]+)(?:\/([^/?]*))?(?:\?(.*))?$/i;
  const parts = form.exec(target);
  if (parts === null) throw invalid("redis+sentinel://host:port,host:port/master-name[/db]", target);
  const [, user = "", password = "", hosts = "", name = "", dbText, query] = parts;
  const sentinels = hosts.split(",").map((text) => parseHostPort(text, target, SENTINEL_PORT));
  const db = parseDb(dbText ?? null, target);
  const more = new URLSearchParams(query);
  const sentinelPassword = more.get("sentinelPassword");
  return {
    options: {
      sentinels,
      name: decode(name, target),
      db,
      ...accountOf(user, password, target),
      ...(sentinelPassword !== null && { sentinelPassword }),
      ...(isTls(more, target) && { tls: {}, enableTLSForSentinelMode: true }),
    },
    text: `redis+sentinel://${hosts}/${name}/${db}`,
  };
}

function parseCluster(target: string): RedisTarget {
  const form = /^redis\+cluster:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/?@]+)\/?(?:\?(.*))?$/i;
  const parts = form.exec(target);
  if (parts === null) throw invalid("redis+cluster://host:port,host:port, without a database number", target);
  const [, user = "", password = "", hosts = "", query] = parts;
  const seeds = hosts.split(",").map((text) => parseHostPort(text, target, REDIS_PORT));
  const more = new URLSearchParams(query);
  return {
    options: { db: 0, ...accountOf(user, password, target), ...(isTls(more, target) && { tls: {} }) },
    cluster: { seeds, tag: more.get("tag") ?? DEFAULT_PREFIX },
    text: `redis+cluster://${hosts}`,
  };
}

function isTls(query: URLSearchParams, target: string): boolean {
  const tls = query.get("tls") ?? "false";
  if (tls !== "true" && tls !== "false") throw invalid("tls=true or tls=false", target);
  return tls === "true";
}

function parseHostPort(text: string, target: string, defaultPort: number): HostPort {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = portText === undefined ? defaultPort : Number(portText);
  if (host === undefined || port < 1 || port > 65_535) throw invalid("servers as host:port,host:port", target);
  return { host, port };
}

function parseDb(text: string | null, target: string): number {
  if (text === null) return 0;
  if (!/^\d{1,4}$/.test(text)) throw invalid("a database number such as 0", target);
  return Number(text);
}

function accountOf(user: string, password: string, target: string): { username?: string; password?: string } {
  return {
    ...(user !== "" && { username: decode(user, target) }),
    ...(password !== "" && { password: decode(password, target) }),
  };
}

function decode(text: string, target: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw invalid("percent signs written as %25", target, error);
  }
}

function invalid(expected: string, target: string, cause?: unknown): InvalidInputError {
  const found = JSON.stringify(withoutPassword(target));
  return new InvalidInputError("redis URL", [{ where: "redis", expected, found }], { cause });
}
