/** A memory cgroup (version 1) of a bench's own, with a limit: what runs in it is ended by the kernel beyond that. */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MiB } from "../../src/contract/resources.ts";
import { findCgroup } from "../../src/worker/governor/probes/cgroup-paths.ts";
import { systemRoots } from "../../src/worker/governor/probes/probe.ts";

export class BenchCgroup implements AsyncDisposable {
  readonly limitMb: number;
  readonly #folder: string;

  /** @throws where no such group can be made: it takes root, and version 1 mounted for writing */
  constructor(limitMb: number) {
    const place = findCgroup(systemRoots, "memory");
    if (place?.version !== 1) throw new Error("expected a memory cgroup of version 1 to make one below it, found none");
    this.limitMb = limitMb;
    this.#folder = join(place.folders[0] ?? "", `headroom-bench-${process.pid}`);
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(join(this.#folder, "memory.limit_in_bytes"), String(limitMb * MiB));
  }

  /** How many processes the kernel has ended in it. */
  get kernelKills(): number {
    return Number(/^oom_kill (\d+)/m.exec(this.#read("memory.oom_control"))?.[1] ?? 0);
  }

  get workingSetMb(): number {
    const inactive = Number(/^total_inactive_file (\d+)/m.exec(this.#read("memory.stat"))?.[1] ?? 0);
    return (Number(this.#read("memory.usage_in_bytes")) - inactive) / MiB;
  }

  /** Arguments for `sh` that run a command in it. */
  entering(command: readonly string[]): string[] {
    return ["-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', this.#folder, ...command];
  }

  /** Runs a command in it to its end; whether that was a good one. The victim of the kernel is never somebody else. */
  spawn(command: readonly string[]): Promise<boolean> {
    return new Promise((resolve) => {
      const child = spawn("sh", this.entering(command), { stdio: "ignore" });
      child.once("error", () => {
        resolve(false);
      });
      child.once("exit", (code) => {
        resolve(code === 0);
      });
    });
  }

  /** Ends what is left in it, and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      for (const pid of this.#read("cgroup.procs").split("\n").filter(Boolean).map(Number))
        process.kill(pid, "SIGKILL");
      try {
        rmdirSync(this.#folder);
        return;
      } catch (error) {
        if (tries > 100) throw error; // busy until the last process is gone
        await sleep(50);
      }
    }
  }

  #read(name: string): string {
    return readFileSync(join(this.#folder, name), "latin1");
  }
}
