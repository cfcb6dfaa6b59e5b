/**
 * Owns one `launcher.pl`: starts it, speaks with it, and starts another when it dies.
 *
 * Each launch is told exactly one end. States of a launch: sent -> begun (the launcher told its pid) -> ended. When the
 * launcher dies, what had begun ends as `lost` and what had not is sent again to the next launcher. What the dead one had
 * started is killed: direct children die with it (PR_SET_PDEATHSIG), the rest is found by the launcher's token in its
 * environment.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InfrastructureError, messageOf } from "../../contract/errors.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import type { JobGroup } from "../governor/probes/job-group.ts";
import type { ExecConfig } from "./exec-protocol.ts";
import { clearGroups, groupOfSlot } from "./job-groups.ts";
import {
  FrameReader,
  envFrame,
  killFrame,
  pingFrame,
  startFrame,
  type Launch,
  type LaunchEnd,
  type LaunchRequest,
  type LaunchSignal,
  type LauncherFrame,
} from "./launch-frames.ts";
import { killMarked } from "./orphans.ts";

const PERL = "/usr/bin/perl";
const script = fileURLToPath(new URL("launcher.pl", import.meta.url));
const ANSWER_MS = 3_000;
/** A launcher that was stopped is found out even when nobody wants to end anything. */
const HEARTBEAT_MS = 5_000;
/** Deaths of launchers without the end of any launch between them, after which what waits is failed. */
const MAX_DEATHS = 3;

export class Launcher {
  readonly #config: ExecConfig;
  readonly #warn: (fields: Record<string, string | number>, text: string) => void;
  readonly #launches = new Map<number, Launch>();
  #child: ChildProcess | undefined;
  #token = "";
  #scratch = "";
  #nextId = 1;
  #envs = new Map<string, number>();
  #slots = new Set<number>();
  #out: Buffer[] = [];
  #deaths = 0;
  #isStopping = false;
  #hasWarned = false;
  /** Resolves with what the launcher last said. */
  #exited: Promise<string> = Promise.resolve("");
  #heartbeat: NodeJS.Timeout | undefined;
  #awaitsPong: NodeJS.Timeout | undefined;
  #onPong: (() => void) | undefined;
  #stderr = "";

  constructor(config: ExecConfig, warn: (fields: Record<string, string | number>, text: string) => void) {
    this.#config = config;
    this.#warn = warn;
  }

  /** Starts the launcher and waits until it answers. @throws {InfrastructureError} when it does not. */
  async open(): Promise<void> {
    const answered = new Promise<void>((resolve) => (this.#onPong = resolve));
    this.#spawn();
    const died = this.#exited.then((said) => {
      throw new InfrastructureError(`expected ${PERL} to run ${script}, found: ${said}`);
    });
    this.ping();
    this.#heartbeat = setInterval(() => {
      if (this.#launches.size > 0) this.ping();
    }, HEARTBEAT_MS);
    await Promise.race([answered, died]);
    died.catch(() => undefined); // Handled by #onExit from here on.
  }

  /** Starts a process, or queues it behind those of its slot. Returns its id. */
  launch(launch: Launch): number {
    const id = this.#nextId++;
    this.#launches.set(id, launch);
    if (this.#child === undefined) this.#spawn();
    this.#send(id, launch.request);
    return id;
  }

  /** Signals the process group of a launch. One that has not begun is dropped, by a signal that ends. */
  kill(id: number, signal: LaunchSignal): void {
    if (!this.#launches.has(id)) return;
    this.#write(killFrame(id, signal));
    // A job may have stopped the launcher (it has the same user): then it does not answer, and is replaced.
    this.ping();
  }

  /** Removes what processes left in the folder of a slot that is not used now. Most leave nothing: then it stays. */
  clearFolder(slot: number): void {
    if (!this.#slots.has(slot)) return;
    const folder = join(this.#scratch, String(slot));
    if (isEmptyFolder(folder)) return;
    this.#slots.delete(slot);
    rmSync(folder, { recursive: true, force: true });
  }

  ping(): void {
    if (this.#awaitsPong !== undefined) return;
    this.#write(pingFrame());
    // After a moment in which this thread itself was held up, the answer may lie there unread: read first, then judge.
    this.#awaitsPong = setTimeout(() => {
      setImmediate(() => {
        this.#replaceIfSilent();
      });
    }, ANSWER_MS);
  }

  #replaceIfSilent(): void {
    if (this.#awaitsPong === undefined || this.#isStopping) return;
    this.#warn({ pid: this.#child?.pid ?? 0 }, "launcher does not answer, replacing it");
    this.#child?.kill("SIGKILL");
  }

  /** Ends the launcher and everything it started. */
  async close(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#awaitsPong);
    this.#child?.stdin?.end();
    await this.#exited;
  }

  #send(id: number, request: LaunchRequest): void {
    try {
      const folder = request.folder ?? this.folderOf(request.slot);
      const key = request.env.join("\0");
      let envId = this.#envs.get(key);
      if (envId === undefined) {
        envId = this.#envs.size + 1;
        this.#envs.set(key, envId);
        this.#write(envFrame(envId, request.env));
      }
      this.#write(startFrame(id, envId, folder, request));
    } catch (error) {
      // The caller must see the end after it has the id.
      queueMicrotask(() => {
        this.#end(id, notStarted(error instanceof RangeError ? "EINVAL" : messageOf(error)));
      });
    }
  }

  /** Each slot has a folder of its own to work in, so that what a binary drops beside it meets no other. */
  folderOf(slot: number): string {
    const folder = join(this.#scratch, String(slot));
    if (!this.#slots.has(slot)) {
      makeFolders(folder);
      this.#slots.add(slot);
    }
    return folder;
  }

  /** The control group of a slot; undefined where there are none. */
  groupOf(slot: number): JobGroup | undefined {
    const { groups } = this.#config;
    return groups === undefined ? undefined : groupOfSlot(groups, `${this.#token}-${slot}`);
  }

  /** Frames of one turn go out in one write. */
  #write(bytes: Buffer): void {
    if (this.#out.push(bytes) > 1) return;
    queueMicrotask(() => {
      const out = this.#out;
      this.#out = [];
      const stdin = this.#child?.stdin;
      if (out.length > 0 && stdin?.writable === true) stdin.write(out.length === 1 ? out[0] : Buffer.concat(out));
    });
  }

  #spawn(): void {
    this.#token = randomBytes(12).toString("hex");
    this.#scratch = mkdtempSync(join(tmpdir(), "headroom-exec-"));
    this.#envs = new Map();
    this.#slots = new Set();
    this.#stderr = "";
    const { nice, oomScoreAdj, groups } = this.#config;
    const parents = groups === undefined ? [] : [...new Set([groups.memory, groups.cpu ?? groups.memory])];
    const args = [script, process.arch, this.#token, this.#scratch, String(nice), String(oomScoreAdj), ...parents];
    // A session of its own: the terminal's Ctrl-C is for the worker, which then ends its jobs in order.
    const child = spawn(PERL, args, { detached: true, cwd: "/", env: {}, stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    const reader = new FrameReader();
    child.stdout.on("data", (bytes: Buffer) => {
      for (const frame of reader.push(bytes)) this.#onFrame(frame);
    });
    child.stderr.on("data", (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString("utf8")).slice(-2_000);
    });
    // A write to a launcher that just died; its exit is what matters.
    child.stdin.on("error", () => undefined);
    const scratch = this.#scratch;
    const token = this.#token;
    this.#exited = new Promise((resolve) => {
      const onGone = (error?: Error) => {
        if (error !== undefined) this.#stderr = error.message;
        rmSync(scratch, { recursive: true, force: true });
        resolve(this.#stderr.trim() || "it ended");
        this.#onGone(token);
      };
      child.once("error", onGone);
      child.once("close", () => {
        onGone();
      });
    });
  }

  #onFrame(frame: LauncherFrame): void {
    switch (frame.kind) {
      case "pong":
        clearTimeout(this.#awaitsPong);
        this.#awaitsPong = undefined;
        this.#onPong?.();
        break;
      case "began": {
        const launch = this.#launches.get(frame.id);
        if (launch === undefined) break;
        launch.pid = frame.pid;
        launch.startedUs = frame.startedUs;
        launch.inGroup = frame.inGroup;
        if (launch.request.inGroup && !frame.inGroup) this.#warnOfNoGroup();
        launch.onBegan();
        break;
      }
      case "ended":
        this.#deaths = 0;
        this.#end(frame.id, frame.launch);
    }
  }

  /** Once: it may hold for each process from now on. */
  #warnOfNoGroup(): void {
    const { groups } = this.#config;
    if (groups === undefined || this.#hasWarned) return;
    this.#hasWarned = true;
    const text = "a process runs in no control group: none could be made, or what is left in it cannot be ended";
    this.#warn({ folder: groups.memory }, text);
  }

  #end(id: number, end: LaunchEnd): void {
    const launch = this.#launches.get(id);
    this.#launches.delete(id);
    launch?.onEnd(end);
  }

  #onGone(token: string): void {
    clearTimeout(this.#awaitsPong);
    this.#awaitsPong = undefined;
    killMarked(new Set([token]));
    const { memory, cpu } = this.#config.groups ?? {};
    for (const parent of new Set([memory, cpu])) if (parent !== undefined) void clearGroups(parent, `${token}-`);
    if (this.#isStopping) return;
    this.#warn({ stderr: this.#stderr, deaths: this.#deaths }, "launcher died, starting another");
    this.#deaths += 1;
    const begun = [...this.#launches].filter(([, launch]) => launch.pid !== 0);
    const waiting = [...this.#launches].filter(([, launch]) => launch.pid === 0);
    this.#out = [];
    if (this.#deaths <= MAX_DEATHS) {
      this.#spawn();
      for (const [id, launch] of waiting) this.#send(id, launch.request);
    }
    // Not begun: their files were not at fault. The next launch tries again, once.
    else {
      this.#child = undefined;
      for (const [id] of waiting) this.#end(id, notStarted(this.#stderr.trim() || "it keeps ending"));
    }
    for (const [id, launch] of begun) this.#end(id, lost(launch, begun.length - 1));
  }
}

function isEmptyFolder(path: string): boolean {
  try {
    return readdirSync(path).length === 0;
  } catch {
    return false; // Removed, or closed to us, by a process that worked in it: to be made anew.
  }
}

const nothing = { startedUs: 0, endedUs: 0, peakBytes: 0, cpuMs: 0, strays: 0, log: null };

function notStarted(errno: string): LaunchEnd {
  return { ...nothing, end: { kind: "not-started", stage: "launcher", errno } };
}

function lost(launch: Launch, others: number): LaunchEnd {
  const endedUs = Number(process.hrtime.bigint() / 1_000n);
  return { ...nothing, startedUs: launch.startedUs, endedUs, end: { kind: "lost", others } };
}
