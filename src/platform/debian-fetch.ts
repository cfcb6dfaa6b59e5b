/**
 * Fetches a Redis server from Debian's or Ubuntu's own packages without being root: apt works in folders of ours, checks
 * the distribution's signatures as always, and the packages are unpacked beside each other, not installed.
 */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { InfrastructureError } from "../contract/errors.ts";
import { aptDetail, libraryFolders, openApt, unpackPackages, type Apt } from "./apt.ts";
import type { Logger } from "./logger.ts";
import { makeFolders } from "./make-folders.ts";

const TOOLS = ["apt-get", "dpkg-deb", "tar"] as const;

/** A server that lies in a folder of ours and needs the libraries beside it. */
export interface FetchedServer {
  readonly path: string;
  /** For LD_LIBRARY_PATH. */
  readonly libraryPath: string;
}

/** The servers that a distribution may have; its `-tools` package holds the binary, the `-server` one a link to it. */
const SERVERS = ["valkey", "redis"] as const;

/** Whether this machine is one that `fetchDebianServer` knows: a Debian or Ubuntu with apt. */
export function canFetchFromDebian(path: string): boolean {
  if (!existsSync("/etc/debian_version")) return false;
  return TOOLS.every((tool) => path.split(":").some((folder) => existsSync(join(folder, tool))));
}

/** The name of the release, for the cache: packages of one release do not run on another. */
function releaseName(): string {
  const fields = new Map(
    readFileSync("/etc/os-release", "utf8")
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1).replaceAll('"', "")]),
  );
  return `${fields.get("ID") ?? "debian"}-${fields.get("VERSION_ID") ?? fields.get("VERSION_CODENAME") ?? "unknown"}`;
}

/** The server fetched earlier into this cache folder, if there is one. */
export function findFetched(cache: string): FetchedServer | undefined {
  return serverIn(join(cache, `${releaseName()}-${process.arch}`));
}

/**
 * Fetches the server into the cache folder. Several processes may do so at once: each works in a folder of its own, and
 * the first to rename it wins.
 * @throws {InfrastructureError} when the packages cannot be had.
 */
export async function fetchDebianServer(cache: string, logger: Logger): Promise<FetchedServer> {
  const final = join(cache, `${releaseName()}-${process.arch}`);
  makeFolders(cache);
  const work = mkdtempSync(join(cache, "fetch-"));
  try {
    logger.info({ cache }, "fetching a redis server from the distribution's packages, once");
    const unpacked = await fetchInto(work);
    try {
      renameSync(unpacked, final);
    } catch (error) {
      // Another process was first.
      if (serverIn(final) === undefined) throw error;
    }
  } catch (error) {
    throw new InfrastructureError(`expected to fetch redis-server from the distribution, found: ${aptDetail(error)}`, {
      cause: error,
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const server = serverIn(final);
  if (server === undefined) throw new InfrastructureError(`expected a server in ${final}, found none`);
  return server;
}

async function fetchInto(work: string): Promise<string> {
  const apt = openApt(work);
  // A third-party source that does not answer fails the update as a whole; what matters is whether the packages are found.
  const updateError: unknown = await apt(["update"]).then(
    () => undefined,
    (error: unknown) => error,
  );
  try {
    return await unpackPackages(apt, await findPackages(apt), work);
  } catch (error) {
    throw updateError ?? error;
  }
}

/** The packages of the first server that the release has, with the libraries that this machine lacks. */
async function findPackages(apt: Apt): Promise<string[]> {
  let lastError: unknown;
  for (const server of SERVERS) {
    const own = [`${server}-server`, `${server}-tools`];
    try {
      const plan = await apt(["install", "--simulate", "--no-install-recommends", ...own]);
      const libraries = [...plan.matchAll(/^Inst (lib\S+)/gm)].flatMap(([, name]) =>
        name === undefined ? [] : [name],
      );
      // A C library other than the system's would not go with the system's loader.
      if (libraries.includes("libc6")) throw new Error(`${server}-server needs a newer libc6 than this machine has`);
      return [...new Set([...own, ...libraries])];
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}

function serverIn(root: string): FetchedServer | undefined {
  const path = SERVERS.map((server) => join(root, "usr", "bin", `${server}-server`)).find((file) => existsSync(file));
  if (path === undefined) return undefined;
  return { path, libraryPath: libraryFolders(root).join(":") };
}
