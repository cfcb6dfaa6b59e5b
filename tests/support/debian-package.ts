/**
 * Programs from another Debian release, without being root and without installing anything: apt works in a folder of its
 * own with the sources of that release, and checks Debian's signatures as always. The packages are unpacked beside each
 * other, with every library that they need (the C library and its loader too), into a cache below the user's. So a
 * program of Debian 13 runs on Debian 12 or on Ubuntu.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { aptDetail, libraryFolders, openApt, unpackPackages, type Apt } from "../../src/platform/apt.ts";

export interface DebianPackages {
  /** The release, such as `trixie`. */
  readonly suite: string;
  readonly packages: readonly string[];
  /** Where fetched packages are kept; by default below the user's cache folder. */
  readonly cache?: string;
}

export interface DebianProgram {
  /** The file itself. */
  readonly path: string;
  /** For LD_LIBRARY_PATH, where the system's own loader will do. */
  readonly libraryPath: string;
  /** How to start it wherever it is: the release's own loader, its libraries, the file. Arguments go behind. */
  readonly command: readonly [string, ...string[]];
}

/** The unpacked packages. */
export interface DebianRoot {
  readonly path: string;
  /** What starts a program of another release so that it finds the libraries here: its loader, and where they are. */
  readonly loader: () => readonly [string, ...string[]];
  /** The program of this name. @throws when none of the packages has it */
  program(name: string): DebianProgram;
}

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
/** What the programs load; the rest of a package's needs are set-up scripts that nobody runs here. */
const LIBRARY = /^(?:lib\S+|zlib1g)$/;

/**
 * Fetches the packages with their libraries, once for each machine.
 * @throws when this machine has no apt, or the packages cannot be had
 */
export async function fetchDebianPackages({ suite, packages, cache }: DebianPackages): Promise<DebianRoot> {
  const home = cache ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "headroom-tests");
  // Built by the names, since a name of every package can be longer than a file's may be.
  const key = createHash("sha256")
    .update([...packages].sort().join(" "))
    .digest("hex")
    .slice(0, 12);
  const final = join(home, `${suite}-${process.arch}-${key}`);
  if (!existsSync(final)) await fetchInto(final, { suite, packages });
  return {
    path: final,
    loader: () => loaderCommand(final),
    program: (name) => findProgram(final, name),
  };
}

async function fetchInto(final: string, { suite, packages }: DebianPackages): Promise<void> {
  mkdirSync(join(final, ".."), { recursive: true });
  const work = mkdtempSync(`${final}-`);
  try {
    const apt = await openSuite(suite, work);
    await apt(["update"]);
    const unpacked = await unpackPackages(apt, await withLibraries(apt, packages), work);
    renameUnlessThere(unpacked, final);
  } catch (error) {
    const what = `${packages.join(", ")} of ${suite}`;
    throw new Error(`expected to fetch ${what} from Debian, found: ${aptDetail(error)}`, { cause: error });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Several test files may fetch the same at once: the first to rename wins. */
function renameUnlessThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

/** apt with the sources of one release alone, and with nothing installed, so that it names every library. */
export async function openSuite(suite: string, work: string): Promise<Apt> {
  const keyring = existsSync(KEYRING) ? KEYRING : await fetchKeyring(work);
  const mirror = await debianMirror(work);
  const sources = join(work, "sources.list");
  const status = join(work, "status");
  writeFileSync(sources, `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`);
  writeFileSync(status, "");
  return openApt(work, [
    `Dir::Etc::sourcelist=${sources}`,
    "Dir::Etc::sourceparts=/dev/null",
    `Dir::State::status=${status}`,
  ]);
}

/** Where this machine has Debian from; another system has to say it. */
async function debianMirror(work: string): Promise<string> {
  const said = process.env["HEADROOM_TEST_DEBIAN_MIRROR"];
  if (said !== undefined) return said;
  const apt = openApt(join(work, "sources"));
  const targets = await apt(["indextargets", "--no-release-info", "--format", "$(REPO_URI)", "Created-By: Packages"]);
  const found = targets.split("\n").find((uri) => /\/debian\/?$/.test(uri));
  if (found !== undefined) return found;
  throw new Error("expected a Debian mirror in apt's sources or in HEADROOM_TEST_DEBIAN_MIRROR, found none");
}

/** Ubuntu has Debian's keys as a package, signed by Ubuntu. */
async function fetchKeyring(work: string): Promise<string> {
  const own = join(work, "keyring");
  const apt = openApt(own);
  await apt(["update"]);
  return join(await unpackPackages(apt, ["debian-archive-keyring"], own), KEYRING);
}

async function withLibraries(apt: Apt, packages: readonly string[]): Promise<string[]> {
  const plan = await apt(["install", "--simulate", "--no-install-recommends", ...packages]);
  const needed = [...plan.matchAll(/^Inst (\S+)/gm)].map(([, name = ""]) => name);
  return [...new Set([...packages, ...needed.filter((name) => LIBRARY.test(name))])];
}

function findProgram(root: string, name: string): DebianProgram {
  const folders = ["usr/bin", "usr/sbin", "usr/libexec/docker/cli-plugins", "bin", "sbin"];
  // Links are not followed: a program may tell by its name what it is to be.
  const path = folders.map((folder) => join(root, folder, name)).find((file) => existsSync(file));
  if (path === undefined) throw new Error(`expected the program ${name} below ${root}, found none`);
  return { path, libraryPath: libraryFolders(root).join(":"), command: [...loaderCommand(root), path] };
}

function loaderCommand(root: string): [string, ...string[]] {
  return [findLoader(root), "--library-path", libraryFolders(root).join(":")];
}

function findLoader(root: string): string {
  const loaders = libraryFolders(root).flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => /^ld-linux-.*\.so\.\d+$/.test(file))
      .map((file) => join(folder, file)),
  );
  const [loader] = loaders;
  if (loader === undefined) throw new Error(`expected the loader of the C library below ${root}, found none`);
  return loader;
}
