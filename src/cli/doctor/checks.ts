/** What must be in order on this machine, each with what was found and what mends it. */
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import type { Allow } from "../../contract/allow.ts";
import { InfrastructureError, messageOf, UnsafeRedisError } from "../../contract/errors.ts";
import { GiB, MiB } from "../../contract/resources.ts";
import { startEmbeddedRedis } from "../../platform/embedded-redis.ts";
import type { Logger } from "../../platform/logger.ts";
import { findRedisBinary, INSTALL_COMMAND } from "../../platform/redis-binary.ts";
import { checkRedis, isVersionBelow, type RedisFacts } from "../../platform/redis-check.ts";
import { withoutPassword } from "../../platform/redis-target.ts";
import { closeRedis, openRedis } from "../../platform/redis.ts";
import { systemClock } from "../../platform/clock.ts";
import { openStore } from "../../store/open-store.ts";
import { jobGroupsFault } from "../../worker/executor/job-groups.ts";
import { hasSystemCallFilter, sandboxFault } from "../../worker/executor/sandbox.ts";
import { surveySensors } from "../../worker/governor/survey.ts";
import { formatBytes, formatCount, plural } from "../format.ts";
import type { Place } from "../settings.ts";
import type { Finding } from "./finding.ts";
import { checkClocks } from "./clocks.ts";
import { checkPolicy } from "./policy.ts";

interface DoctorDeps {
  readonly place: Place;
  readonly allow: Allow;
  readonly logger: Logger;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const LEAST_NODE = "20.19";
const PERL = "/usr/bin/perl";
const LOW_DISK_BYTES = GiB;
const NO_DISK_BYTES = 64 * MiB;

const ok = (check: string, found: string): Finding => ({ check, status: "ok", found, fix: null });

/** All checks; one that fails does not keep the others from being made. */
export async function examine(deps: DoctorDeps): Promise<Finding[]> {
  const [disk, redis, store, sensors, sandbox] = await Promise.all([
    checkDisk(deps.place.home),
    checkServer(deps),
    checkStore(deps),
    checkSensors(),
    checkSandbox(deps.allow),
  ]);
  const limits = [...checkLimits(), ...checkPolicy(deps.allow)];
  return [checkNode(), checkHome(deps.place.home), disk, ...redis, store, checkPerl(), sandbox, ...limits, ...sensors];
}

/** Needed where the policy asks for it; else jobs that ask for it wait for another worker. */
async function checkSandbox({ sandbox = "none", network }: Allow): Promise<Finding> {
  const fault = await sandboxFault();
  if (fault === undefined)
    return ok("sandbox", `bubblewrap, ${hasSystemCallFilter ? "with a" : "no"} filter of system calls`);
  const fix = "install bubblewrap, and allow user namespaces (docs/sandbox.md)";
  return {
    check: "sandbox",
    status: sandbox === "none" && network !== false ? "warn" : "fail",
    found: `none: ${fault}`,
    fix,
  };
}

function checkNode(): Finding {
  const found = process.versions.node;
  if (!isVersionBelow(found, LEAST_NODE)) return ok("node", found);
  return { check: "node", status: "fail", found, fix: `install Node.js ${LEAST_NODE} or newer` };
}

function checkHome(home: string): Finding {
  // openHome has proved that it can be read and written.
  return ok("data folder", home);
}

async function checkDisk(home: string): Promise<Finding> {
  const { bavail, bsize, blocks } = await statfs(home);
  const free = bavail * bsize;
  const found = `${formatBytes(free)} free of ${formatBytes(blocks * bsize)} at ${home}`;
  if (free >= LOW_DISK_BYTES) return ok("disk", found);
  return {
    check: "disk",
    status: free < NO_DISK_BYTES ? "fail" : "warn",
    found,
    fix: "make room, or name another --home",
  };
}

async function checkServer({ place, logger, env }: DoctorDeps): Promise<Finding[]> {
  try {
    return place.redisUrl === undefined
      ? await examineEmbedded(place, logger, env)
      : await examineServer(place.redisUrl, `given as ${withoutPassword(place.redisUrl)}`, { place, logger });
  } catch (error) {
    const found = messageOf(error);
    const fix = error instanceof UnsafeRedisError ? error.fix : fixOfRedis(place, found);
    return [{ check: "redis", status: "fail", found, fix }];
  }
}

function fixOfRedis({ redisUrl }: Place, found: string): string {
  if (redisUrl === undefined) return INSTALL_COMMAND;
  const place = "--redis or HEADROOM_REDIS_URL";
  if (found.startsWith("NOPERM")) return "name a user who may, such as operator of deploy/redis/users.acl";
  if (found.includes("NOAUTH")) return `name a user and a password in ${place}: redis://user:password@host:port`;
  if (found.includes("WRONGPASS")) return `correct the user and the password in ${place}`;
  if (found.includes("DB index")) return `name another database in ${place}, or raise databases in its redis.conf`;
  return "start the server, or correct --redis or HEADROOM_REDIS_URL";
}

async function examineEmbedded(place: Place, logger: Logger, env: DoctorDeps["env"]): Promise<Finding[]> {
  const binary = await findRedisBinary({ logger, env });
  const embedded = await startEmbeddedRedis({ home: place.home, logger, env });
  try {
    return await examineServer(embedded.url, `embedded, ${binary.path} (${binary.source})`, { place, logger });
  } finally {
    await embedded.stop();
  }
}

/** Clocks are looked at where there may be several: on a server that was named. */
async function examineServer(
  url: string,
  how: string,
  { place, logger }: Pick<DoctorDeps, "place" | "logger">,
): Promise<Finding[]> {
  const redis = openRedis(url, "command", logger);
  try {
    const facts = await checkRedis(redis, place);
    const warnings = facts.warnings.map((found): Finding => ({
      check: "redis settings",
      status: "warn",
      found,
      fix: null,
    }));
    return [
      ok("redis", `${facts.server} ${facts.version}, ${how}`),
      ...(warnings.length > 0 ? warnings : [ok("redis settings", settingsOf(facts))]),
      ...(place.redisUrl === undefined ? [] : [await checkClocks(redis, place.kp)]),
    ];
  } finally {
    await closeRedis(redis);
  }
}

function settingsOf(facts: RedisFacts): string {
  const memory =
    facts.maxMemoryBytes === undefined ? "no memory limit" : `memory up to ${formatBytes(facts.maxMemoryBytes)}`;
  const kept = facts.hasAppendOnlyFile
    ? "append-only file"
    : facts.hasSnapshots === true
      ? "snapshots"
      : "kept nowhere";
  const replicas = facts.replication.replicas.length;
  const copies = replicas === 0 ? "" : `, ${plural(replicas, "replica")}`;
  return `${facts.maxMemoryPolicy}, ${kept}, ${memory}${copies}${facts.isCluster ? ", cluster mode" : ""}`;
}

async function checkStore({ place, logger }: DoctorDeps): Promise<Finding> {
  const where = withoutPassword(place.storeUrl);
  try {
    await using store = await openStore(place.storeUrl, logger);
    await store.migrate();
    await store.ping();
    return ok("store", where);
  } catch (error) {
    const isDown = error instanceof InfrastructureError;
    const fix = isDown
      ? "start the database, or correct --store or HEADROOM_STORE_URL"
      : "correct --store or HEADROOM_STORE_URL";
    return { check: "store", status: "fail", found: `${where}: ${messageOf(error)}`, fix };
  }
}

function checkPerl(): Finding {
  try {
    accessSync(PERL, constants.X_OK);
    return ok("perl", `${PERL}, for the process launcher`);
  } catch {
    return { check: "perl", status: "fail", found: `no executable ${PERL}`, fix: "sudo apt-get install -y perl-base" };
  }
}

/** Which probes of a worker read here, which find nothing of their kind, and which cannot be read. */
async function checkSensors(): Promise<Finding[]> {
  const { mode, statuses } = await surveySensors(systemClock);
  const named = (state: string) => statuses.filter((status) => status.state === state).map(({ name }) => name);
  const absent = [...named("absent"), ...named("waiting")];
  const without = absent.length === 0 ? "" : `; nothing to read for ${absent.join(", ")}`;
  const broken = statuses.flatMap(({ name, reason }): Finding[] =>
    reason === undefined
      ? []
      : [{ check: "sensor", status: "warn", found: `${name}: ${reason}`, fix: "see docs/operations.md, Sensors" }],
  );
  return [ok("sensors", `limits from ${mode}; read: ${named("reading").join(", ")}${without}`), ...broken];
}

function checkLimits(): Finding[] {
  const limit = process.constrainedMemory();
  const isLimited = limit > 0 && limit < totalmem();
  const memory = isLimited ? `${formatBytes(limit)} by cgroup, of ${formatBytes(totalmem())}` : formatBytes(totalmem());
  const fault = jobGroupsFault();
  const groups =
    fault === undefined ? "one per job can be made" : `none: ${fault}; jobs are measured by their processes`;
  return [
    ok("memory", memory),
    ok("control groups", groups),
    ok("cpus", `${formatCount(availableParallelism())}${cgroupCpus()}`),
  ];
}

/** The CPU quota of the control group, where there is one. */
function cgroupCpus(): string {
  const file = "/sys/fs/cgroup/cpu.max";
  if (!existsSync(file)) return "";
  const [quota, period] = readFileSync(file, "utf8").trim().split(" ").map(Number);
  if (quota === undefined || period === undefined || !Number.isFinite(quota / period)) return "";
  return `, of which the cgroup grants ${Math.round((quota / period) * 100) / 100}`;
}
