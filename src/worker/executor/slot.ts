/**
 * One process at a time for one chunk: starts, watches and ends. How a process is ended: TERM to its group, KILL to the
 * group after a pause; the launcher then kills whatever else it left.
 */
import type { RunSpec } from "../../contract/run-spec.ts";
import type { Step } from "../governor/step.ts";
import { beginMeter, membersWith, type Metered } from "../governor/probes/job-group.ts";
import type { Failure, StopReason } from "../result/outcome.ts";
import { AgentTail } from "./agent-tail.ts";
import { slotProcess, type SlotProcess } from "./call.ts";
import type { Launch, LaunchEnd } from "./launch-frames.ts";
import type { Launcher } from "./launcher.ts";
import type { MemoryKills } from "./memory-kills.ts";
import type { Niceness } from "./niceness.ts";
import { signalOutsiders } from "./process-tree.ts";
import { enclosed, endBehind, type Enclosure } from "./sandbox.ts";
import { verdictOf } from "./verdict.ts";
import type { Watch } from "./watch.ts";

export interface SlotParts {
  readonly launcher: Launcher;
  readonly watch: Watch;
  readonly kills: MemoryKills;
  readonly chunkId: string;
  readonly spec: RunSpec;
  readonly niceness: Niceness;
  /** Undefined: its processes are not shut in. */
  readonly enclosure: Enclosure | undefined;
  /** `NAME=value`. */
  readonly env: readonly string[];
}

/** What standard output goes to, and what grows while the process runs. */
export interface SlotOutput {
  readonly path: string | null;
  readonly isStdout: boolean;
}

interface Started {
  readonly launchId: number;
  readonly launch: Launch;
  isSuspended: boolean;
  killTimer: NodeJS.Timeout | undefined;
  /** Of an agent, what it prints. */
  readonly agent: AgentTail | undefined;
}

/** An abort must have ended everything within 2 s. */
const ABORT_KILL_MS = 1_200;

const noOutput: SlotOutput = { path: null, isStdout: false };

export class Slot {
  readonly #parts: SlotParts;
  readonly #number: number;
  readonly #started = new Map<SlotProcess, Started>();
  #isAborted = false;
  #suspendedMs = 0;

  constructor(parts: SlotParts, number: number) {
    this.#parts = parts;
    this.#number = number;
  }

  /** Processes that were handed over and have not ended. */
  get size(): number {
    return this.#started.size;
  }

  /** Where a process of it works that names no other folder. */
  get folder(): string {
    return this.#parts.launcher.folderOf(this.#number);
  }

  /** How long its processes have stood still. */
  get suspendedMs(): number {
    return this.#suspendedMs;
  }

  start(process: SlotProcess, output: SlotOutput, onEnd: () => void): void {
    const { launcher, env, spec, kills } = this.#parts;
    // Not when it is told to have begun: where memory is short that may come together with its end.
    process.memoryKillsBefore = kills.recent(performance.now());
    const launch: Launch = {
      request: {
        slot: this.#number,
        folder: process.places.folder?.path,
        env,
        logBytes: spec.logBytes,
        inGroup: process.inGroup,
        stdoutPath: output.isStdout ? output.path : null,
        argv: this.#commandOf(process),
      },
      pid: 0,
      startedUs: 0,
      inGroup: false,
      onBegan: () => {
        this.#began(process, launch, output);
      },
      onEnd: (end: LaunchEnd) => {
        this.#ended(process, end);
        onEnd();
      },
    };
    const launchId = launcher.launch(launch);
    this.#started.set(process, {
      launchId,
      launch,
      isSuspended: false,
      killTimer: undefined,
      agent: this.#tailOf(process, output),
    });
    if (this.#isAborted) this.#stop(process, "aborted", ABORT_KILL_MS);
  }

  /** Runs a check command to its end; null when it says yes. */
  async check(argv: readonly string[], what: "input" | "output"): Promise<Failure | null> {
    const paths = argv.filter((word) => word.startsWith("/"));
    const process = slotProcess(argv, null, { read: paths, write: [] });
    await new Promise<void>((resolve) => {
      this.start(process, noOutput, resolve);
    });
    const failure = verdictOf(process, { ...this.#parts.spec, successExitCodes: [0] }, this.#parts.kills);
    if (failure?.class !== "exit") return failure;
    const end = process.end?.end;
    const found = end?.kind === "exited" ? `exit code ${end.code}` : failure.message;
    const said = process.end?.log?.trim() ?? "";
    return {
      class: what === "input" ? "bad-input" : "bad-output",
      message: `expected the ${what} check to exit with 0, found ${found}${said === "" ? "" : `: ${said}`}`,
    };
  }

  /** Ends what runs and drops what waits; nothing runs in this slot any more. */
  abort(): void {
    this.#isAborted = true;
    const pauseMs = Math.min(this.#parts.spec.killAfterMs, ABORT_KILL_MS);
    for (const process of this.#started.keys()) this.#stop(process, "aborted", pauseMs);
  }

  /** Ends the process that runs now, at once, if it is the one that is meant. */
  evict({ message, pid }: Pick<Step, "message" | "pid">): void {
    for (const [process, { launchId, launch }] of this.#started) {
      // The first one is the one that runs: the launcher keeps their order.
      if (pid !== undefined && launch.pid !== pid) return;
      process.stop ??= "evicted";
      process.stopMessage = message;
      this.#parts.launcher.kill(launchId, "SIGKILL");
      return;
    }
  }

  /** Stops, slows or lets go the process `pid` and all below it, if it runs now. */
  hold(hold: Exclude<Step["kind"], "end">, pid: number): void {
    const started = [...this.#started.values()].find(({ launch }) => launch.pid === pid);
    if (started === undefined) return;
    switch (hold) {
      case "suspend":
        this.#suspend(started);
        break;
      case "resume":
        this.#resume(started);
        break;
      case "slow":
        this.#parts.niceness.lower(pid, this.#membersOf(started));
        break;
      case "restore":
        this.#parts.niceness.restore(pid, this.#membersOf(started));
    }
  }

  /** Leaves nothing in the slot's folder. */
  close(): void {
    this.#parts.launcher.clearFolder(this.#number);
  }

  /** Checks are no agents. */
  #tailOf({ inputBytes }: SlotProcess, { path, isStdout }: SlotOutput): AgentTail | undefined {
    const { agent } = this.#parts.spec;
    return agent === undefined || inputBytes === null || path === null || !isStdout
      ? undefined
      : new AgentTail(path, agent);
  }

  #commandOf({ argv, places }: SlotProcess): readonly string[] {
    const { enclosure, launcher } = this.#parts;
    return enclosure === undefined ? argv : enclosed(argv, enclosure, places, launcher.folderOf(this.#number));
  }

  #began(process: SlotProcess, launch: Launch, output: SlotOutput): void {
    const { watch, spec, chunkId } = this.#parts;
    const started = this.#started.get(process);
    if (started === undefined) return;
    watch.add(started.launchId, {
      chunkId,
      pid: launch.pid,
      inputBytes: process.inputBytes,
      startedMs: launch.startedUs / 1_000,
      timeoutMs: spec.timeoutMs,
      metered: this.#meterOf(launch),
      outputPath: output.path,
      maxOutputBytes: spec.output.maxBytes,
      onTimeout: () => {
        this.#stop(process, "timeout", spec.killAfterMs);
      },
      onTooLarge: () => {
        this.#stop(process, "too-large", 0);
      },
      agent: started.agent,
      onAgent: ({ stop, message }) => {
        process.stopMessage ??= message;
        this.#stop(process, stop, spec.killAfterMs);
      },
    });
  }

  #meterOf({ inGroup }: Launch): Metered | undefined {
    const group = inGroup ? this.#parts.launcher.groupOf(this.#number) : undefined;
    return group === undefined ? undefined : beginMeter(group);
  }

  #ended(process: SlotProcess, end: LaunchEnd): void {
    const started = this.#started.get(process);
    this.#started.delete(process);
    process.end = this.#parts.enclosure === undefined ? end : { ...end, end: endBehind(end.end) };
    if (started === undefined) return;
    clearTimeout(started.killTimer);
    // What it said last was not read yet.
    const verdict = started.agent?.last();
    process.used = started.agent?.used;
    if (process.stop === null && verdict?.stop === "budget")
      Object.assign(process, { stop: verdict.stop, stopMessage: verdict.message });
    Object.assign(process, this.#parts.watch.delete(started.launchId));
    this.#suspendedMs += process.suspendedMs;
  }

  /** The processes of its control group, where it has one. */
  #membersOf({ launch }: Started): number[] {
    const group = launch.inGroup ? this.#parts.launcher.groupOf(this.#number) : undefined;
    return group === undefined ? [] : membersWith(launch.pid, group);
  }

  /** The launcher stops the group: it knows that the number is still that of the process. */
  #suspend(started: Started): void {
    if (started.isSuspended) return;
    started.isSuspended = true;
    const { launcher, watch } = this.#parts;
    const { pid } = started.launch;
    launcher.kill(started.launchId, "SIGSTOP");
    signalOutsiders(pid, "SIGSTOP", this.#membersOf(started));
    watch.suspend(started.launchId, () => {
      signalOutsiders(pid, "SIGSTOP", this.#membersOf(started));
    });
  }

  #resume(started: Started): void {
    if (!started.isSuspended) return;
    started.isSuspended = false;
    const { launcher, watch } = this.#parts;
    watch.resume(started.launchId);
    signalOutsiders(started.launch.pid, "SIGCONT", this.#membersOf(started));
    launcher.kill(started.launchId, "SIGCONT");
  }

  #stop(process: SlotProcess, reason: StopReason, killAfterMs: number): void {
    const started = this.#started.get(process);
    if (started === undefined) return;
    process.stop ??= reason;
    const { launcher } = this.#parts;
    launcher.kill(started.launchId, killAfterMs === 0 ? "SIGKILL" : "SIGTERM");
    if (killAfterMs === 0) return;
    // One that stands still hears nothing before it goes on.
    this.#resume(started);
    clearTimeout(started.killTimer);
    started.killTimer = setTimeout(() => {
      launcher.kill(started.launchId, "SIGKILL");
    }, killAfterMs);
  }
}
