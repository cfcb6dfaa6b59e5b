/**
 * The control groups in which jobs run: one folder per worker below the worker's own group, in it one per slot, which the
 * launcher makes. Where this process may make some is found out by making one; everything else is left as it was.
 *
 * Version 2 gives controllers to groups without processes of their own only. So a worker that is alone in its group moves
 * into a leaf beside those of its jobs; the sensors go on to read the group that it came from (cgroup-paths.ts).
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../contract/errors.ts";
import { isAlive, ownIdentity } from "../../platform/process-identity.ts";
import { readOptional } from "../governor/probes/cached-file.ts";
import { findCgroup, GROUP_PREFIX, WORKER_LEAF, type CgroupPlace } from "../governor/probes/cgroup-paths.ts";
import { groupsBelow, membersOf, pidsIn, type JobGroup } from "../governor/probes/job-group.ts";
import { systemRoots, type ProbeRoots } from "../governor/probes/probe.ts";
import { processesOfTree } from "./process-tree.ts";

const ROUNDS = 50;
const ROUND_MS = 20;

/**
 * Makes the group of a worker's jobs; `pid` is the process that has to be in the group which it takes for its own.
 * @throws {Error} that says why this process may not, and has left all as it was
 */
export function openJobGroups(workerId: string, roots: ProbeRoots = systemRoots, pid = process.pid): JobGroup {
  const name = nameOf(workerId, roots);
  const place = placeOf(pid, roots);
  return place.version === 1 ? openLegacy(place, name, roots, pid) : openUnified(place, name);
}

/** Why no groups can be made here; undefined: they can. Nothing is moved, and nothing stays. */
export function jobGroupsFault(roots: ProbeRoots = systemRoots): string | undefined {
  try {
    const place = placeOf(process.pid, roots);
    if (place.version === 2) checkUnified(place);
    else removeGroup(openLegacy(place, nameOf("probe", roots), roots, process.pid));
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Ends what is left in groups of workers that are gone, and removes those. Returns how many. */
export async function clearDeadGroups({ memory, cpu }: JobGroup, roots: ProbeRoots = systemRoots): Promise<number> {
  let cleared = 0;
  for (const parent of new Set([dirname(memory), ...(cpu === undefined ? [] : [dirname(cpu)])])) {
    for (const name of foldersIn(parent)) {
      if (!name.startsWith(GROUP_PREFIX) || !isDead(name, roots)) continue;
      if (await clearGroups(join(parent, name), "")) cleared += 1;
    }
  }
  return cleared;
}

/** Removes what was made for a worker's jobs, and ends what is left there. @throws when it cannot be removed */
export async function closeJobGroups({ memory, cpu = memory }: JobGroup): Promise<void> {
  for (const parent of new Set([memory, cpu])) {
    if (await clearGroups(parent, "")) continue;
    if (leaveLeaf(parent) && (await clearGroups(parent, ""))) continue;
    throw new Error(`expected to remove the control group ${parent}, found it in use`);
  }
}

/** Ends what runs in the groups of `parent` whose names begin so, and removes them; with all of them, `parent` itself. */
export async function clearGroups(parent: string, prefix: string): Promise<boolean> {
  const isOfJob = (name: string) => name !== WORKER_LEAF && name.startsWith(prefix);
  for (let round = 0; round < ROUNDS; round += 1) {
    const left = foldersIn(parent).filter((name) => isOfJob(name) && !endGroup(join(parent, name)));
    if (left.length === 0) break;
    await sleep(ROUND_MS);
  }
  // The leaf has no jobs, but what the worker started besides, such as a Redis that the next one has taken over.
  return prefix === "" && removed(join(parent, WORKER_LEAF)) && removed(parent);
}

/** The name tells whose it is: a process number means one process with its start, and in its namespace. */
function nameOf(workerId: string, roots: ProbeRoots): string {
  const { pid, startedAt } = ownIdentity();
  return [`${GROUP_PREFIX}${workerId.replace(/[^\w-]/g, "_")}`, pid, startedAt, namespaceOf(roots)].join(".");
}

/** Of another namespace we cannot tell: what is there is left alone. */
function isDead(name: string, roots: ProbeRoots): boolean {
  const [, pid, startedAt = "", namespace] = name.split(".");
  return namespace === namespaceOf(roots) && !isAlive({ pid: Number(pid), startedAt });
}

function namespaceOf(roots: ProbeRoots): string {
  try {
    return /\d+/.exec(readlinkSync(join(roots.proc, "self/ns/pid")))?.[0] ?? "0";
  } catch {
    return "0"; // A kernel without namespaces: all processes are of one.
  }
}

/** The path that `/proc` tells may be of another view than what is mounted: a group is ours only if we are in its list. */
function placeOf(pid: number, roots: ProbeRoots): CgroupPlace {
  const place = findCgroup(roots, "memory");
  if (place === undefined) throw new Error("no memory controller of control groups is mounted");
  if (!isIn(place, pid))
    throw new Error(`expected ${place.inside}/cgroup.procs to list this process (${pid}), found that it does not`);
  return place;
}

function isIn({ inside }: CgroupPlace, pid: number): boolean {
  return pidsIn(inside).includes(pid);
}

function openLegacy({ folders: [own = ""] }: CgroupPlace, name: string, roots: ProbeRoots, pid: number): JobGroup {
  // Limits on the worker's group would hold for nobody below it.
  if (readOptional(join(own, "memory.use_hierarchy"))?.trim() === "0")
    throw new Error(`the memory of groups below ${own} does not count in it`);
  const memory = join(own, name);
  mkdirSync(memory);
  return { version: 1, memory, cpu: accountingIn(name, roots, pid) };
}

/** Only where time is counted apart from how cores are shared: there a group per job would have the share of the worker. */
function accountingIn(name: string, roots: ProbeRoots, pid: number): string | undefined {
  const place = findCgroup(roots, "cpuacct");
  const [own = ""] = place?.folders ?? [];
  if (place?.version !== 1 || existsSync(join(own, "cpu.shares")) || !isIn(place, pid)) return undefined;
  try {
    mkdirSync(join(own, name));
    return join(own, name);
  } catch {
    return undefined; // Then CPU time is that of the processes that can be seen.
  }
}

function openUnified(place: CgroupPlace, name: string): JobGroup {
  const pids = checkUnified(place);
  const [own = ""] = place.folders;
  const memory = join(own, name);
  const leaf = join(memory, WORKER_LEAF);
  mkdirSync(memory);
  try {
    if (pids.length > 0) mkdirSync(leaf);
    move(pids, leaf);
    for (const folder of [own, memory]) writeFileSync(join(folder, "cgroup.subtree_control"), "+memory");
  } catch (error) {
    move(pids, own);
    removed(leaf);
    removed(memory);
    throw error;
  }
  return { version: 2, memory, cpu: memory };
}

/** The processes that have to leave the group first. @throws {Error} that says why no groups can be made in it */
function checkUnified({ folders: [own = ""], isRoot }: CgroupPlace): number[] {
  const controllers = readFileSync(join(own, "cgroup.controllers"), "latin1").trim().split(" ");
  if (!controllers.includes("memory")) throw new Error(`the memory controller is not given to ${own}`);
  for (const path of [own, join(own, "cgroup.procs"), join(own, "cgroup.subtree_control")])
    accessSync(path, constants.W_OK);
  // Root may write to those of the service manager too, which has not given them away.
  if (!isRoot && statSync(own).uid === 0) throw new Error(`${own} is the service manager's, not delegated to a user`);
  // The root of all groups has no type, and may have processes.
  const type = readOptional(join(own, "cgroup.type"))?.trim();
  if (type === undefined) return [];
  if (type !== "domain") throw new Error(`${own} is no group that can give controllers on, but ${type}`);
  const list = readFileSync(join(own, "cgroup.procs"), "latin1").split("\n").filter(Boolean).map(Number);
  const ours = new Set(processesOfTree(process.pid).map(({ pid }) => pid));
  const others = list.filter((pid) => !ours.has(pid)).length;
  if (others > 0) throw new Error(`${others} other ${others === 1 ? "process is" : "processes are"} in ${own}`);
  return list;
}

/** Back to where the worker came from: it may have processes again once it hands nothing on. */
function leaveLeaf(parent: string): boolean {
  const leaf = join(parent, WORKER_LEAF);
  if (!existsSync(leaf)) return false;
  const own = dirname(parent);
  for (const folder of [parent, own]) writeFileSync(join(folder, "cgroup.subtree_control"), "-memory");
  move(pidsIn(leaf), own);
  return true;
}

function move(pids: readonly number[], group: string): void {
  for (const pid of pids) {
    try {
      writeFileSync(join(group, "cgroup.procs"), String(pid));
    } catch (error) {
      // It ended in between; we ourselves did not.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** Kills what runs in a group and in those that it has made, and removes them; whether all are gone. */
function endGroup(folder: string): boolean {
  const all = join(folder, "cgroup.kill");
  try {
    if (existsSync(all)) writeFileSync(all, "1");
  } catch {
    // Removed in between, or not ours to end, which `removed` tells.
  }
  for (const pid of membersOf({ memory: folder })) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself in between, or is another user's, which `removed` tells.
    }
  }
  return [...groupsBelow(folder), folder].every(removed);
}

function removeGroup({ memory, cpu }: JobGroup): void {
  for (const folder of [memory, cpu]) if (folder !== undefined) rmdirSync(folder);
}

function removed(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return !existsSync(folder); // Busy until the last process is gone.
  }
}

function foldersIn(parent: string): string[] {
  try {
    return readdirSync(parent, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return []; // Removed in between.
  }
}

/** The group of one slot of a launcher. */
export function groupOfSlot({ version, memory, cpu }: JobGroup, name: string): JobGroup {
  return { version, memory: join(memory, name), cpu: cpu === undefined ? undefined : join(cpu, name) };
}
