/** apt without being root: its lists and caches lie in a folder of ours, and packages are unpacked, not installed. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf } from "../contract/errors.ts";
import { makeFolders } from "./make-folders.ts";

const run = promisify(execFile);
const TIMEOUT_MS = 180_000;

/** Runs apt-get with these arguments; what it printed. */
export type Apt = (args: readonly string[], cwd?: string) => Promise<string>;

/**
 * apt-get with its lists and caches in this folder. Sources, keys and the list of installed packages are the system's
 * unless a setting names others.
 */
export function openApt(work: string, settings: readonly string[] = []): Apt {
  makeFolders(join(work, "lists", "partial"), 0o777);
  makeFolders(join(work, "cache", "archives", "partial"), 0o777);
  const all = [
    `Dir::State=${work}`,
    `Dir::State::lists=${join(work, "lists")}`,
    "Dir::State::status=/var/lib/dpkg/status",
    `Dir::Cache=${join(work, "cache")}`,
    "Debug::NoLocking=true",
    "Acquire::Languages=none",
    "Acquire::Retries=2",
    "Acquire::http::Timeout=20",
    "Acquire::https::Timeout=20",
    // As root, apt would download as another user, who cannot write into a private folder.
    ...(process.getuid?.() === 0 ? ["APT::Sandbox::User=root"] : []),
    ...settings,
  ];
  const options = all.flatMap((setting) => ["-o", setting]);
  return async (args, cwd = work) => {
    const { stdout } = await run("apt-get", ["-q", ...options, ...args], {
      cwd,
      env: { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
      timeout: TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  };
}

/** Downloads these packages and unpacks them beside each other in a new folder below `work`; its path. */
export async function unpackPackages(apt: Apt, packages: readonly string[], work: string): Promise<string> {
  const downloads = mkdtempSync(join(work, "packages-"));
  await apt(["download", ...packages], downloads);
  const unpacked = mkdtempSync(join(work, "root-"));
  for (const name of readdirSync(downloads).filter((file) => file.endsWith(".deb"))) {
    await run("dpkg-deb", ["-x", join(downloads, name), unpacked], { timeout: TIMEOUT_MS });
  }
  return unpacked;
}

/** Every folder of an unpacked root that holds libraries: `usr/lib/<machine>` and, before Debian 13, `lib/<machine>`. */
export function libraryFolders(root: string): string[] {
  return [join(root, "usr", "lib"), join(root, "lib")].flatMap((folder) => {
    if (!existsSync(folder)) return [];
    const below = readdirSync(folder).map((name) => join(folder, name));
    return below.filter((path) => path.endsWith("-gnu") || path.includes("-linux-")).filter(isFolder);
  });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** What apt itself said, in one line: its first error, not our long command line. */
export function aptDetail(error: unknown): string {
  const stderr = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
  return /^E: .*$/m.exec(stderr)?.[0] ?? messageOf(error).split("\n")[0] ?? "unknown";
}
