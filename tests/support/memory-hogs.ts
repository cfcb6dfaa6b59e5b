/** Real processes that take memory, in a real memory cgroup where this machine lets us make one. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { vi } from "vitest";
import type { ProbeRoots } from "../../src/worker/governor/probes/probe.ts";
import { findCgroup } from "../../src/worker/governor/probes/cgroup-paths.ts";
import { systemRoots } from "../../src/worker/governor/probes/probe.ts";
import { Scratch } from "./scratch.ts";
import { entering } from "./ts-process.ts";

/** Takes `mebibytes`, one each `pauseMs`, then sleeps. */
const HOG = `
my ($mebibytes, $pause) = @ARGV;
my @held;
for my $n (1 .. $mebibytes) { my $piece = chr(65 + $n % 26) x 1048576; push @held, \\$piece; select(undef, undef, undef, $pause / 1000) if $pause; }
$| = 1; print "full\\n"; sleep 600;
`;

export class Hog {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly ended: Promise<NodeJS.Signals | null>;

  constructor(mebibytes: number, pauseMs: number, cgroup?: string) {
    const hog = ["perl", "-e", HOG, String(mebibytes), String(pauseMs)];
    const [command = "", ...args] = cgroup === undefined ? hog : entering(cgroup, hog);
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.pid = this.child.pid ?? 0;
    this.ended = once(this.child, "exit").then(([, signal]) => signal as NodeJS.Signals | null);
  }

  async full(): Promise<void> {
    if (this.child.stdout === null) throw new Error("expected a hog with a pipe");
    await once(this.child.stdout, "data");
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }
}

/** A version 1 memory cgroup below our own, with a limit, and roots under which a sensor takes it for its own. */
export class MemoryCgroup implements AsyncDisposable {
  readonly folder: string;
  readonly roots: ProbeRoots;
  readonly #scratch = new Scratch();

  constructor(limitBytes: number) {
    this.folder = join(parentFolder() ?? "", basename(this.#scratch.path));
    mkdirSync(this.folder);
    writeFileSync(join(this.folder, "memory.limit_in_bytes"), String(limitBytes));
    const path = this.folder.slice(join(systemRoots.cgroup, "memory").length);
    this.#scratch.file("self/cgroup", `4:memory:${path}\n2:cpuacct:/\n`);
    for (const name of ["meminfo", "stat"]) symlinkSync(join("/proc", name), join(this.#scratch.path, name));
    this.roots = { proc: this.#scratch.path, cgroup: systemRoots.cgroup, sys: systemRoots.sys };
  }

  /** How often the kernel has ended something in it. */
  get kernelKills(): number {
    const text = readFileSync(join(this.folder, "memory.oom_control"), "utf8");
    return Number(/^oom_kill (\d+)/m.exec(text)?.[1] ?? NaN);
  }

  get maxUsedBytes(): number {
    return Number(readFileSync(join(this.folder, "memory.max_usage_in_bytes"), "utf8"));
  }

  /** Ends what is left in it, and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await vi.waitFor(
      () => {
        const pids = readFileSync(join(this.folder, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
        for (const pid of pids) process.kill(pid, "SIGKILL");
        rmdirSync(this.folder);
      },
      { timeout: 10_000, interval: 20 },
    );
    this.#scratch[Symbol.dispose]();
  }
}

/** Whether a memory cgroup can be made here: root, and version 1 mounted for writing. */
export function canMakeMemoryCgroup(): boolean {
  const parent = parentFolder();
  if (parent === undefined) return false;
  const probe = join(parent, `headroom-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    const isMemory = existsSync(join(probe, "memory.limit_in_bytes"));
    rmdirSync(probe);
    return isMemory;
  } catch {
    // Not ours to make: the tests that need one say that they are skipped.
    return false;
  }
}

function parentFolder(): string | undefined {
  const place = findCgroup(systemRoots, "memory");
  return place?.version === 1 ? place.folders[0] : undefined;
}
