/** Control groups of version 2, as files: what is written where, and when a worker leaves all as it was. */
import { chownSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { closeJobGroups, jobGroupsFault, openJobGroups } from "../../../../src/worker/executor/job-groups.ts";
import { findCgroup } from "../../../../src/worker/governor/probes/cgroup-paths.ts";
import { GroupMeter, groupsBelow, membersOf, membersWith } from "../../../../src/worker/governor/probes/job-group.ts";
import { Scratch } from "../../../support/scratch.ts";

/** Who is not root can give nothing away. */
const USER = process.getuid?.() === 0 ? 1_000 : (process.getuid?.() ?? 0);

let scratch: Scratch;
beforeEach(() => {
  scratch = new Scratch();
});
afterEach(() => {
  scratch[Symbol.dispose]();
});

/** The worker's group in a faked hierarchy, with these processes and controllers. */
function fakeGroup(pids: readonly number[], { controllers = "cpu memory", type = "domain", owner = USER } = {}) {
  const own = "cgroup/system.slice/worker.service";
  scratch.file("cgroup/cgroup.controllers", "cpu memory");
  scratch.file("proc/self/cgroup", "0::/system.slice/worker.service\n");
  scratch.file(`${own}/cgroup.controllers`, controllers);
  scratch.file(`${own}/cgroup.type`, `${type}\n`);
  scratch.file(`${own}/cgroup.procs`, pids.map((pid) => `${pid}\n`).join(""));
  scratch.file(`${own}/cgroup.subtree_control`, "");
  const path = join(scratch.path, own);
  const roots = { proc: join(scratch.path, "proc"), cgroup: join(scratch.path, "cgroup"), sys: scratch.path };
  chownSync(path, owner, owner);
  return { path, roots, read: (name: string) => readFileSync(join(path, name), "latin1") };
}

const groupsIn = (folder: string) => readdirSync(folder).filter((name) => name.startsWith("headroom-jobs-"));

describe("groups of version 2", () => {
  test("a worker alone in its group moves into a leaf, and hands on memory, but no processor shares", () => {
    const { path, roots, read } = fakeGroup([process.pid]);
    const { version, memory, cpu } = openJobGroups("node.1", roots);
    expect({ version, cpu }).toEqual({ version: 2, cpu: memory });
    expect(memory.slice(path.length)).toMatch(new RegExp(`^/headroom-jobs-node_1\\.${process.pid}\\.\\d+\\.\\d+$`));
    expect(readFileSync(join(memory, "worker/cgroup.procs"), "latin1")).toBe(String(process.pid));
    expect(read("cgroup.subtree_control")).toBe("+memory");
    expect(readFileSync(join(memory, "cgroup.subtree_control"), "latin1")).toBe("+memory");
  });

  test("a worker that stops goes back to where it came from, which hands nothing on any more", async () => {
    const { path, roots, read } = fakeGroup([process.pid]);
    const groups = openJobGroups("node", roots);
    scratch.file("cgroup/system.slice/worker.service/cgroup.procs", "");
    // Files keep a folder, which those of a kernel's groups do not.
    await expect(closeJobGroups(groups)).rejects.toThrow(`expected to remove the control group ${groups.memory}`);
    expect(read("cgroup.procs")).toBe(String(process.pid));
    for (const folder of [path, groups.memory])
      expect(readFileSync(join(folder, "cgroup.subtree_control"), "latin1")).toBe("-memory");
  });

  test("its sensors go on to read the group that it came from", () => {
    const { path, roots } = fakeGroup([process.pid]);
    const { memory } = openJobGroups("node", roots);
    scratch.file("proc/self/cgroup", `0::${join(memory, "worker").slice(roots.cgroup.length)}\n`);
    expect(findCgroup(roots, "memory")?.folders[0]).toBe(path);
  });

  test("none are made beside processes of others, without the controller, or below a threaded group", () => {
    const reasonOf = (...facts: Parameters<typeof fakeGroup>) => jobGroupsFault(fakeGroup(...facts).roots);
    expect(reasonOf([process.pid])).toBeUndefined();
    expect(reasonOf([process.pid, 1])).toContain("1 other process is in");
    expect(reasonOf([process.pid], { controllers: "cpu" })).toContain("the memory controller is not given to");
    if (process.getuid?.() === 0) expect(reasonOf([process.pid], { owner: 0 })).toContain("not delegated to a user");
    expect(reasonOf([process.pid], { type: "threaded" })).toContain("threaded");
  });

  test("none are made in a group that does not list this process, whatever its path says", () => {
    const { path, roots } = fakeGroup([1]);
    const fault = `expected ${path}/cgroup.procs to list this process (${process.pid})`;
    expect(jobGroupsFault(roots)).toContain(fault);
    expect(() => openJobGroups("node", roots)).toThrow(fault);
    // A container in a view of its own, and the machine's groups mounted in it.
    scratch.file("proc/self/cgroup", "0::/\n");
    scratch.file("cgroup/cgroup.procs", "0\n1\n");
    scratch.file("cgroup/cgroup.subtree_control", "");
    expect(jobGroupsFault(roots)).toContain(`expected ${roots.cgroup}/cgroup.procs to list`);
    expect(groupsIn(path)).toEqual([]);
    expect(groupsIn(roots.cgroup)).toEqual([]);
  });

  test("a worker in its leaf is in no list but that of the leaf", () => {
    const { roots } = fakeGroup([process.pid]);
    const leaf = join(openJobGroups("node", roots).memory, "worker");
    scratch.file("proc/self/cgroup", `0::${leaf.slice(roots.cgroup.length)}\n`);
    scratch.file("cgroup/system.slice/worker.service/cgroup.procs", "");
    expect(jobGroupsFault(roots)).toBeUndefined();
    scratch.file(join(leaf, "cgroup.procs").slice(scratch.path.length), "1\n");
    expect(jobGroupsFault(roots)).toContain(`expected ${leaf}/cgroup.procs to list`);
  });

  test("a worker that may not hand on goes back to where it was", () => {
    const { path, roots, read } = fakeGroup([process.pid]);
    rmSync(join(path, "cgroup.subtree_control"));
    scratch.folder("cgroup/system.slice/worker.service/cgroup.subtree_control");
    expect(() => openJobGroups("node", roots)).toThrow("EISDIR");
    expect(read("cgroup.procs")).toBe(String(process.pid));
    expect(existsSync(join(path, "cgroup.type"))).toBe(true);
  });
});

describe("groups of version 1", () => {
  test("none are made in a group that does not list this process, of neither controller", () => {
    scratch.file("proc/self/cgroup", "4:memory:/\n2:cpuacct:/\n");
    const procs = (controller: string, pid: number) => scratch.file(`cgroup/${controller}/cgroup.procs`, `${pid}\n`);
    procs("memory", 1);
    procs("cpuacct", 1);
    const roots = { proc: join(scratch.path, "proc"), cgroup: join(scratch.path, "cgroup"), sys: scratch.path };
    expect(() => openJobGroups("node", roots)).toThrow(`to list this process (${process.pid})`);
    expect(jobGroupsFault(roots)).toContain(`expected ${roots.cgroup}/memory/cgroup.procs to list`);
    procs("memory", process.pid);
    expect(openJobGroups("node", roots).cpu).toBeUndefined();
    expect(groupsIn(join(roots.cgroup, "cpuacct"))).toEqual([]);
    procs("cpuacct", process.pid);
    expect(openJobGroups("other", roots).cpu).toContain("/cpuacct/headroom-jobs-other.");
    expect(groupsIn(join(roots.cgroup, "memory"))).toHaveLength(2);
  });
});

test("members of a group are those below it too, which are removed from the deepest on", () => {
  const memory = scratch.folder("group");
  scratch.file("group/cgroup.procs", "5\n");
  expect([groupsBelow(memory), membersOf({ memory })]).toEqual([[], [5]]);
  scratch.file("group/a/b/cgroup.procs", "0\n7\n");
  expect(groupsBelow(memory)).toEqual([join(memory, "a/b"), join(memory, "a")]);
  expect(membersOf({ memory })).toEqual([5, 7]);
  expect([groupsBelow(join(memory, "gone")), membersOf({ memory: join(memory, "gone") })]).toEqual([[], []]);
});

test("members beside a process are none when it is in the group no more", () => {
  const memory = scratch.folder("group");
  scratch.file("group/cgroup.procs", "5\n7\n");
  expect([membersWith(5, { memory }), membersWith(6, { memory })]).toEqual([[5, 7], []]);
});

describe("the meter of a group", () => {
  const stat = (fields: Readonly<Record<string, number>>) =>
    Object.entries(fields)
      .map(([name, value]) => `${name} ${value}\n`)
      .join("");

  test("of version 2 counts anonymous and shared memory and the kernel's, without what can be taken back", () => {
    const memory = scratch.folder("group");
    const before = { anon: 0, file: 900, shmem: 40, kernel: 30, slab_reclaimable: 20 };
    scratch.file("group/memory.stat", stat(before));
    scratch.file("group/cpu.stat", "usage_usec 5000\nuser_usec 0\n");
    const meter = new GroupMeter({ version: 2, memory, cpu: memory });
    expect(meter.begin().before).toEqual({ keptBytes: 50, cpuMs: 5 });
    meter.close();
    scratch.file("group/memory.stat", stat({ ...before, anon: 1000, file: 7000, shmem: 140, kernel: 60 }));
    scratch.file("group/cpu.stat", "usage_usec 25000\n");
    expect(meter.read()).toEqual({ rssBytes: 1130, cpuMs: 20 });
    meter.close();
  });

  test("of version 1 counts the group and all below it, without the kernel's, most of which can be taken back", () => {
    const memory = scratch.folder("group");
    scratch.file(
      "group/memory.stat",
      stat({ cache: 9000, rss: 1, shmem: 1, total_cache: 9000, total_rss: 700, total_shmem: 60 }),
    );
    scratch.file("group/memory.kmem.usage_in_bytes", "4000\n");
    const meter = new GroupMeter({ version: 1, memory, cpu: undefined });
    expect(meter.read()).toEqual({ rssBytes: 760, cpuMs: undefined });
    meter.close();
  });
});
