/** Processes in control groups of their own: what is counted, what is killed, and what becomes of groups that nobody needs. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { basename, dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { runSpec } from "../../../../src/contract/run-spec.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { slotProcess } from "../../../../src/worker/executor/call.ts";
import type { UsageSample } from "../../../../src/worker/executor/chunk-request.ts";
import {
  clearDeadGroups,
  closeJobGroups,
  jobGroupsFault,
  openJobGroups,
} from "../../../../src/worker/executor/job-groups.ts";
import type { Launch } from "../../../../src/worker/executor/launch-frames.ts";
import { Launcher } from "../../../../src/worker/executor/launcher.ts";
import { MemoryKills } from "../../../../src/worker/executor/memory-kills.ts";
import { Niceness } from "../../../../src/worker/executor/niceness.ts";
import { Slot } from "../../../../src/worker/executor/slot.ts";
import { monotonicMs, Watch } from "../../../../src/worker/executor/watch.ts";
import type { JobGroup } from "../../../../src/worker/governor/probes/job-group.ts";
import { membersOf } from "../../../../src/worker/governor/probes/job-group.ts";
import { Executors } from "../../../../src/worker/executors.ts";
import type { WorkerConfig, WorkerDeps } from "../../../../src/worker/worker-port.ts";
import { ExecFixture, processesWith } from "../../../support/exec-fixture.ts";
import { canMakeMemoryCgroup, MemoryCgroup } from "../../../support/memory-hogs.ts";
import { keepingLogger } from "../../../support/quiet-logger.ts";
import { Scratch } from "../../../support/scratch.ts";

const canMake = canMakeMemoryCgroup();
const UNIFIED = "/sys/fs/cgroup/unified";
const WAIT = { timeout: 10_000, interval: 10 };

/** A helper that is nobody's child, in no group or session of its maker, without a variable; it takes 64 MiB and 0.3 s. */
const daemon = (mark: string) => `#!/usr/bin/perl
use POSIX;
if (!fork) {
  POSIX::setsid();
  exit if fork;
  %ENV = ();
  exec "/usr/bin/perl", "-e", 'my $held = chr(65) x (64 << 20); 1 while times < 0.3; sleep 60', "${mark}";
}
wait;
select undef, undef, undef, 1.2;
print "done\\n";
`;

/** Such a helper, in a group two below that of its job. */
function nested(exec: ExecFixture, { memory, cpu }: JobGroup): string {
  const enter = `mkdir -p "$group/a/b"; echo $$ > "$group/a/b/cgroup.procs"`;
  const program = exec.program(daemon(exec.scratch.path));
  return exec.script(`for group in ${memory}/*-0 ${cpu}/*-0; do ${enter}; done\nexec ${program}`);
}

/** What is made for a worker in this group: a process that is in it stands for this one. */
function openIn({ folder, roots }: MemoryCgroup, workerId: string): JobGroup {
  const inside = spawn("sleep", ["60"]);
  try {
    writeFileSync(join(folder, "cgroup.procs"), String(inside.pid));
    return openJobGroups(workerId, roots, inside.pid);
  } finally {
    inside.kill("SIGKILL");
  }
}

/** The folder of a worker that is gone, beside that of one that lives. */
function ofGone({ memory }: JobGroup): string {
  const [, pid = "", startedAt = "", namespace = ""] = basename(memory).split(".");
  return join(dirname(memory), `headroom-jobs-gone.${pid}.1${startedAt}.${namespace}`);
}

/** A process in a group that is made for it. */
function sleeperIn(folder: string): ChildProcess {
  mkdirSync(folder, { recursive: true });
  const sleeper = spawn("sleep", ["60"]);
  writeFileSync(join(folder, "cgroup.procs"), String(sleeper.pid));
  return sleeper;
}

/** A fixture whose jobs run in groups below a group of its own, which has a limit. */
async function opened(limitBytes: number) {
  const cgroup = new MemoryCgroup(limitBytes);
  const groups = openIn(cgroup, "test");
  const exec = await ExecFixture.open(() => ({}), groups);
  return {
    ...{ exec, groups },
    async [Symbol.asyncDispose]() {
      await exec[Symbol.asyncDispose]();
      await closeJobGroups(groups);
      await cgroup[Symbol.asyncDispose]();
    },
  };
}

const slotsIn = ({ memory }: JobGroup) => readdirSync(memory).filter((name) => existsSync(join(memory, name, "tasks")));

test.skipIf(!canMake)("a helper that has left its parents counts for its job, and ends with it", async () => {
  await using at = await opened(1024 * MiB);
  const { exec, groups } = at;
  const { only, usage, measures } = await exec.run(
    [exec.program(daemon(exec.scratch.path)), "{input}"],
    exec.files({ a: "1" }),
  );
  expect(only.outcome).toBe("succeeded");
  expect(Math.max(...usage.map(({ rssBytes }) => rssBytes))).toBeGreaterThan(64 * MiB);
  expect(Math.max(...usage.map(({ cpuMs }) => cpuMs))).toBeGreaterThan(250);
  expect(only.cpuMs).toBeGreaterThan(250);
  expect(measures[0]?.peakBytes).toBeGreaterThan(64 * MiB);
  expect(processesWith(exec.scratch.path)).toEqual([]);
  expect(slotsIn(groups)).toHaveLength(1);
  await exec.runner.stop();
  expect(slotsIn(groups)).toEqual([]);
  await closeJobGroups(groups);
  expect(existsSync(groups.memory)).toBe(false);
  expect(existsSync(groups.cpu ?? "/")).toBe(false);
});

test.skipIf(!canMake)(
  "what is in groups that a job has made counts for it and ends with it, and so do they",
  async () => {
    await using at = await opened(1024 * MiB);
    const { exec, groups } = at;
    const { usage } = await exec.run([nested(exec, groups), "{input}"], exec.files({ a: "1" }));
    expect(Math.max(...usage.map(({ rssBytes }) => rssBytes))).toBeGreaterThan(64 * MiB);
    expect(processesWith(exec.scratch.path)).toEqual([]);
    const look = exec.script(`ls -d ${groups.memory}/*/a ${groups.cpu}/*/a 2>/dev/null; echo seen`);
    await exec.run([look, "{input}"], exec.files({ b: "1" }), { spec: { output: { name: "{name}" } } });
    expect(exec.read("b")).toBe("seen\n");
    await exec.run([nested(exec, groups), "{input}"], exec.files({ c: "1" }));
    await exec.runner.stop();
    expect(slotsIn(groups)).toEqual([]);
    await closeJobGroups(groups);
    expect(existsSync(groups.memory)).toBe(false);
    expect(existsSync(groups.cpu ?? "/")).toBe(false);
  },
);

test.skipIf(!canMake)(
  "page cache is no memory of a job, and what the last job of a slot has left is not the next one's",
  async () => {
    await using at = await opened(1024 * MiB);
    const { exec } = at;
    const file = join(exec.scratch.path, "large");
    const shared = `/dev/shm/headroom-test-${process.pid}`;
    const write = `dd if=/dev/zero of=${file} bs=1M count=200 2>/dev/null; dd if=/dev/zero of=${shared} bs=1M count=32 2>/dev/null; sleep 0.5`;
    const first = await exec.run([exec.script(write), "{input}"], exec.files({ a: "1" }));
    const second = await exec.run([exec.script(`sleep 0.5; rm ${shared}`), "{input}"], exec.files({ b: "1" }));
    const most = ({ usage }: typeof first) => Math.max(...usage.map(({ rssBytes }) => rssBytes));
    expect(most(first)).toBeGreaterThan(32 * MiB);
    expect(most(first)).toBeLessThan(64 * MiB);
    expect(most(second)).toBeLessThan(16 * MiB);
  },
);

test.skipIf(!canMake)("a job that the kernel ends in its group has run out of memory", async () => {
  await using at = await opened(96 * MiB);
  const { exec } = at;
  const leap = exec.script("exec dd if=/dev/zero of=/dev/null bs=1G count=1");
  const { only, measures } = await exec.run([leap, "{input}"], exec.files({ a: "1" }));
  expect(only).toMatchObject({ failureClass: "out-of-memory", signal: "SIGKILL" });
  expect(measures).toMatchObject([{ end: "kernel-kill" }]);
});

test.skipIf(!canMake)(
  "commands that are expected to take a moment enter none, once one has ended at the latest",
  async () => {
    await using at = await opened(1024 * MiB);
    const { exec, groups } = at;
    const show = exec.script("grep memory: /proc/self/cgroup");
    const files = exec.files({ a: "1", b: "2" });
    const spec = { output: { name: "{name}" } };
    await exec.run([show, "{input}"], files, { spec });
    const inside = groups.memory.slice(groups.memory.lastIndexOf("/"));
    expect([exec.read("a"), exec.read("b")].map((said) => said.includes(inside))).toEqual([true, false]);
    await exec.run([show, "{input}"], exec.files({ c: "1" }), { spec, request: { expectedMs: 5 } });
    expect(exec.read("c")).not.toContain(inside);
  },
);

test.skipIf(!canMake)("a launcher that is killed leaves no process of its groups behind", async () => {
  await using at = await opened(1024 * MiB);
  const { exec, groups } = at;
  const program = exec.program(daemon(exec.scratch.path));
  const ended = exec.run([program, "{input}"], exec.files({ a: "1" }));
  await expect.poll(() => slotsIn(groups).length, WAIT).toBe(1);
  const [slot = ""] = slotsIn(groups);
  await expect.poll(() => membersOf({ memory: join(groups.memory, slot) }).length, WAIT).toBeGreaterThan(1);
  const launcher = processesWith("launcher.pl").find((pid) => processesWith(groups.memory).includes(pid));
  process.kill(launcher ?? 0, "SIGKILL");
  expect((await ended).only.failureClass).toBe("signal");
  await expect.poll(() => processesWith(exec.scratch.path).filter((pid) => pid !== launcher), WAIT).toEqual([]);
  await expect.poll(() => slotsIn(groups).includes(slot), WAIT).toBe(false);
});

/** Whether a process that asks for a group begins in one. */
function beginsInGroup(launcher: Launcher, slot: number): Promise<boolean> {
  return new Promise((resolve) => {
    const launch: Launch = {
      request: { slot, env: [], logBytes: 0, inGroup: true, stdoutPath: null, argv: ["/bin/true"] },
      ...{ pid: 0, startedUs: 0, inGroup: false, onBegan: () => undefined },
      onEnd: () => {
        resolve(launch.inGroup);
      },
    };
    launcher.launch(launch);
  });
}

const launcherWith = (groups: JobGroup, warnings: string[]) =>
  new Launcher({ nice: 0, oomScoreAdj: 0, allow: {}, groups }, (_, text) => warnings.push(text));

test.skipIf(!canMake)(
  "the launcher after one that has ended makes groups again, also where all were removed",
  async () => {
    await using cgroup = new MemoryCgroup(1024 * MiB);
    const groups = openIn(cgroup, "test");
    const warnings: string[] = [];
    for (const isRemoved of [false, false, true]) {
      if (isRemoved) await closeJobGroups(groups);
      const launcher = launcherWith(groups, warnings);
      await launcher.open();
      expect(await beginsInGroup(launcher, 0)).toBe(true);
      await launcher.close();
      expect([existsSync(groups.memory), slotsIn(groups)]).toEqual([true, []]);
    }
    expect(warnings).toEqual([]);
    await closeJobGroups(groups);
  },
);

test("a launcher that cannot make a group tells it once", async () => {
  using scratch = new Scratch();
  const warnings: string[] = [];
  const launcher = launcherWith({ version: 1, memory: join(scratch.path, "none/jobs"), cpu: undefined }, warnings);
  await launcher.open();
  for (const slot of [0, 1]) expect(await beginsInGroup(launcher, slot)).toBe(false);
  await launcher.close();
  expect(warnings).toEqual([expect.stringContaining("runs in no control group")]);
});

test.skipIf(jobGroupsFault() !== undefined)("a worker removes its groups when it stops", async () => {
  const { logger, lines } = keepingLogger();
  const deps = { logger, clock: systemClock } as WorkerDeps;
  const config = { nice: 0, allow: {}, workerId: "stops", jobGroups: "required" } as WorkerConfig;
  const executors = new Executors(deps, config, undefined as never);
  await executors.start();
  const made = lines().flatMap(({ groups }) => (groups === undefined ? [] : [groups as JobGroup]));
  const folders = made.flatMap(({ memory, cpu = memory }) => [memory, cpu]);
  expect(folders.map((folder) => existsSync(folder))).toEqual([true, true]);
  await executors.stop();
  expect(folders.map((folder) => existsSync(folder))).toEqual([false, false]);
});

test.skipIf(!canMake)("a worker clears groups of workers that are gone, and no others", async () => {
  await using cgroup = new MemoryCgroup(1024 * MiB);
  const own = openIn(cgroup, "own");
  const folder = (name: string) => join(dirname(own.memory), name);
  const gone = ofGone(own);
  const strange = `${ofGone(own)}0`;
  for (const made of [strange, folder("another")]) mkdirSync(made);
  const end = once(sleeperIn(join(gone, "token-0/a/b")), "exit");
  expect(await clearDeadGroups(own, cgroup.roots)).toBe(1);
  expect(await end).toEqual([null, "SIGKILL"]);
  expect([gone, strange, folder("another"), own.memory].map((path) => existsSync(path))).toEqual([
    false,
    true,
    true,
    true,
  ]);
  await closeJobGroups(own);
  for (const path of [strange, folder("another")]) rmdirSync(path);
});

test.skipIf(!canMake)(
  "what a lost worker had started besides jobs lives on, and its groups go when it has ended",
  async () => {
    await using cgroup = new MemoryCgroup(1024 * MiB);
    const own = openIn(cgroup, "own");
    const gone = ofGone(own);
    const server = sleeperIn(join(gone, "worker"));
    const jobEnd = once(sleeperIn(join(gone, "token-0")), "exit");
    expect(await clearDeadGroups(own, cgroup.roots)).toBe(0);
    expect(await jobEnd).toEqual([null, "SIGKILL"]);
    expect(existsSync(join(gone, "token-0"))).toBe(false);
    expect(membersOf({ memory: join(gone, "worker") })).toEqual([server.pid]);
    const serverEnd = once(server, "exit");
    server.kill("SIGTERM");
    expect(await serverEnd).toEqual([null, "SIGTERM"]);
    expect(await clearDeadGroups(own, cgroup.roots)).toBe(1);
    expect(existsSync(gone)).toBe(false);
    await closeJobGroups(own);
  },
);

test("a step against a process that has ended reaches no other that is in its group now, nor is that counted for it", async () => {
  using scratch = new Scratch();
  const group: JobGroup = { version: 1, memory: scratch.folder("group"), cpu: undefined };
  const next = spawn("sleep", ["60"]);
  onTestFinished(() => {
    next.kill("SIGKILL");
  });
  const nextPid = next.pid ?? 0;
  scratch.file("group/cgroup.procs", `${nextPid}\n`);
  scratch.file("group/memory.stat", "total_rss 1000\n");
  const ended = spawn("true");
  await once(ended, "exit");
  const pid = ended.pid ?? 0;
  const samples: UsageSample[] = [];
  const kills = new MemoryKills();
  const watch = new Watch(kills, (sample) => samples.push(sample));
  const launches: Launch[] = [];
  const launcher = { launch: (launch: Launch) => launches.push(launch), groupOf: () => group, kill: () => undefined };
  const output = { root: "/out", from: "stdout" };
  const spec = runSpec.parse({ command: ["/bin/true"], input: { kind: "tree", root: "/" }, output });
  const niceness = new Niceness(0, () => undefined);
  const about = { chunkId: "chunk", spec, niceness, enclosure: undefined, env: [] };
  const slot = new Slot({ launcher: launcher as unknown as Launcher, watch, kills, ...about }, 0);
  slot.start(slotProcess(["/bin/true"], 1, { read: [], write: [] }), { path: null, isStdout: false }, () => undefined);
  for (const launch of launches) {
    Object.assign(launch, { pid, inGroup: true, startedUs: (monotonicMs() - 1_000) * 1_000 });
    launch.onBegan();
  }
  for (const step of ["suspend", "slow"] as const) slot.hold(step, pid);
  const limits = { timeoutMs: 60_000, maxOutputBytes: 1, onTimeout: () => undefined, onTooLarge: () => undefined };
  const watched = { chunkId: "next", inputBytes: 1, outputPath: null, startedMs: monotonicMs() };
  watch.add(2, { ...limits, ...watched, pid: nextPid });
  await expect.poll(() => samples.map((sample) => sample.pid), WAIT).toContain(nextPid);
  expect(samples.filter((sample) => sample.pid !== nextPid)).toEqual([]);
  expect(readFileSync(`/proc/${nextPid}/stat`, "latin1")).toContain(") S ");
  expect(getPriority(nextPid)).toBe(getPriority());
  watch.close();
});

/** Version 2 as far as a machine has it whose memory is counted by version 1. */
test.skipIf(!canMake || !existsSync(join(UNIFIED, "cgroup.procs")))(
  "in groups of version 2 a helper that has left its parents counts its time, and ends with its job",
  async () => {
    using scratch = new Scratch();
    const memory = join(UNIFIED, `headroom-test-${scratch.path.slice(scratch.path.lastIndexOf("/") + 1)}`);
    mkdirSync(memory);
    const groups: JobGroup = { version: 2, memory, cpu: memory };
    await using exec = await ExecFixture.open(() => ({}), groups);
    const { only } = await exec.run([nested(exec, groups), "{input}"], exec.files({ a: "1" }));
    expect(only.cpuMs).toBeGreaterThan(250);
    expect(processesWith(exec.scratch.path)).toEqual([]);
    await exec.runner.stop();
    await closeJobGroups(groups);
    expect(existsSync(memory)).toBe(false);
  },
);
