/** Where the cgroup of this process is, for each controller: version 1, version 2, or both side by side (hybrid). */
import { existsSync } from "node:fs";
import { basename, join, resolve, sep } from "node:path";
import { readOptional } from "./cached-file.ts";
import type { ProbeRoots } from "./probe.ts";

export interface CgroupPlace {
  readonly version: 1 | 2;
  /** The folder of this process's cgroup, then its parents up to the mount: a limit on any of them holds. */
  readonly folders: readonly string[];
  /** Whose list has this process, if what `/proc` tells is the mount that we see: its cgroup, or the worker's leaf in it. */
  readonly inside: string;
  /** Whether this process is in the root cgroup, which has no limits of its own. */
  readonly isRoot: boolean;
}

/** The group of a worker's jobs begins so; a worker that had to leave its own group for them is in its leaf. */
export const GROUP_PREFIX = "headroom-jobs-";
export const WORKER_LEAF = "worker";

/** The place of this process for `controller`; undefined when no hierarchy has it. */
export function findCgroup(roots: ProbeRoots, controller: string): CgroupPlace | undefined {
  for (const [list = "", path = "/"] of cgroupLines(roots)) {
    if (list === "" || !list.split(",").includes(controller)) continue;
    const mount = [join(roots.cgroup, list), join(roots.cgroup, controller)].find((folder) => existsSync(folder));
    if (mount !== undefined) return { version: 1, ...placeIn(mount, path) };
  }
  return findUnified(roots);
}

/** The place of this process in the version 2 hierarchy, whatever controllers that has; undefined without one. */
export function findUnified(roots: ProbeRoots): CgroupPlace | undefined {
  const line = cgroupLines(roots).find(([list]) => list === "");
  const mount = [roots.cgroup, join(roots.cgroup, "unified")].find((folder) =>
    existsSync(join(folder, "cgroup.controllers")),
  );
  if (line === undefined || mount === undefined) return undefined;
  const place = placeIn(mount, line[1] ?? "/");
  return { version: 2, ...place, folders: withoutLeaf(place.folders) };
}

/** What is to be read is the group that the worker came from: there are its jobs as well. */
function withoutLeaf(folders: readonly string[]): readonly string[] {
  const [leaf = "", jobs = ""] = folders.map((folder) => basename(folder));
  return leaf === WORKER_LEAF && jobs.startsWith(GROUP_PREFIX) ? folders.slice(2) : folders;
}

/** Pairs of (controllers, path) from `/proc/self/cgroup`; version 2 has no controllers there. */
function cgroupLines(roots: ProbeRoots): string[][] {
  const text = readOptional(join(roots.proc, "self/cgroup")) ?? "";
  const lines = text.split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  return lines.flatMap((match) => (match === null ? [] : [[match[1] ?? "", match[2] ?? "/"]]));
}

/**
 * A container may see its own cgroup mounted at the top while `/proc/self/cgroup` still tells the path on the host:
 * leading parts are left out until the folder is there.
 */
function placeIn(mount: string, path: string): Omit<CgroupPlace, "version"> {
  const parts = path.split("/").filter((part) => part !== "");
  for (let skip = 0; skip <= parts.length; skip += 1) {
    const folder = resolve(mount, ...parts.slice(skip));
    if (folder !== mount && !folder.startsWith(mount + sep)) continue;
    if (!existsSync(folder)) continue;
    return { folders: upTo(mount, folder), inside: folder, isRoot: parts.length === 0 };
  }
  return { folders: [mount], inside: mount, isRoot: parts.length === 0 };
}

function upTo(mount: string, folder: string): string[] {
  const folders = [folder];
  for (let at = folder; at !== mount;) {
    at = resolve(at, "..");
    folders.push(at);
  }
  return folders;
}
