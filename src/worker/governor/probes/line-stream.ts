/**
 * The lines of one long-lived child process, which is started again when it ends, each hour, and when it has grown too
 * large: a sampler of devices leaks, and a process per reading would cost more than what it measures.
 *
 * States: `stopped` → `running` → `pausing` (it ended; the next one starts after a pause that doubles up to a minute, and
 * is short again once one has lived for a while) → `running` …; `stop` ends it from any of them.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { messageOf } from "../../../contract/errors.ts";
import { MiB } from "../../../contract/resources.ts";
import { pageBytes } from "./system-constants.ts";

export interface LineStreamLimits {
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** Started anew when it has lived for this long, or has more than `maxRssBytes` resident. */
  readonly maxAgeMs: number;
  readonly maxRssBytes: number;
}

const usualLimits: LineStreamLimits = {
  firstPauseMs: 1_000,
  longestPauseMs: 60_000,
  maxAgeMs: 3_600_000,
  maxRssBytes: 200 * MiB,
};
/** A longer line is garbage. */
const MAX_LINE_CHARS = 4_096;

export class LineStream {
  readonly #command: readonly string[];
  readonly #onLine: (line: string) => void;
  readonly #limits: LineStreamLimits;
  #child: ChildProcess | undefined;
  #startedAtMs = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = true;
  /** Why it does not run now; undefined while it does. */
  fault: string | undefined;

  constructor(command: readonly string[], onLine: (line: string) => void, limits: Partial<LineStreamLimits> = {}) {
    this.#command = command;
    this.#onLine = onLine;
    this.#limits = { ...usualLimits, ...limits };
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it unless it is started. */
  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#failures = 0;
    this.#spawn();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }

  /** Ends a child that is too old or too large; another one follows. */
  check(nowMs: number): void {
    const child = this.#child;
    if (child?.pid === undefined) return;
    const isOld = nowMs - this.#startedAtMs >= this.#limits.maxAgeMs;
    if (isOld || residentBytes(child.pid) > this.#limits.maxRssBytes) child.kill("SIGKILL");
  }

  #spawn(): void {
    const [command = "", ...args] = this.#command;
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    this.#startedAtMs = performance.now();
    this.fault = undefined;
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => (said = (said + bytes.toString("latin1")).slice(-500)));
    this.#readLines(child);
    const onEnd = (reason: string) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.fault = `${command} ended: ${said.trim() || reason}`;
      this.#restart();
    };
    child.once("error", (error) => {
      onEnd(messageOf(error));
    });
    child.once("close", (code, signal) => {
      onEnd(signal ?? `exit code ${code ?? "unknown"}`);
    });
  }

  #restart(): void {
    if (this.#isStopped) return;
    const { firstPauseMs, longestPauseMs } = this.#limits;
    const hasLived = performance.now() - this.#startedAtMs > 10 * firstPauseMs;
    this.#failures = hasLived ? 0 : this.#failures + 1;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.max(0, this.#failures - 1));
    this.#timer = setTimeout(() => {
      this.#spawn();
    }, pauseMs);
    this.#timer.unref();
  }

  #readLines({ stdout }: ChildProcess): void {
    const decoder = new StringDecoder("utf8");
    let rest = "";
    stdout?.on("data", (bytes: Buffer) => {
      const lines = (rest + decoder.write(bytes)).split("\n");
      rest = (lines.pop() ?? "").slice(-MAX_LINE_CHARS);
      for (const line of lines) if (line.trim() !== "" && line.length <= MAX_LINE_CHARS) this.#onLine(line);
    });
  }
}

function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1] ?? 0) * pageBytes();
  } catch {
    // It has just ended.
    return 0;
  }
}
