/** Reads what an agent prints while it grows, line by line. */
import { closeSync, constants, openSync, readSync } from "node:fs";
import type { AgentUsage } from "../../contract/agents.ts";
import { fsPath } from "../../contract/path-bytes.ts";
import type { AgentLimits } from "../../contract/run-spec.ts";
import { countLine, noCount, verdictOn, type AgentCount, type AgentVerdict } from "./agent-watch.ts";

/** At one look: a flood must not hold up the thread. */
const LOOK_BYTES = 4 * 1024 * 1024;
/** What is left unread of a flood when its process has ended is read up to this much. */
const LAST_BYTES = 64 * 1024 * 1024;
/** A longer line is no message of an agent; it is left out. */
const MAX_LINE_BYTES = 8 * 1024 * 1024;
const NEWLINE = 10;

const buffer = Buffer.allocUnsafeSlow(64 * 1024);

export class AgentTail {
  readonly #path: string;
  readonly #limits: AgentLimits;
  #count: AgentCount = noCount;
  #offset = 0;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #lastGrowthMs = 0;

  constructor(path: string, limits: AgentLimits) {
    this.#path = path;
    this.#limits = limits;
  }

  /** Looks at what came since; why the agent is to be ended. `ageMs`: how long it has run, standstills left out. */
  look(ageMs: number): AgentVerdict | null {
    if (this.#read(LOOK_BYTES) > 0) this.#lastGrowthMs = ageMs;
    return verdictOn(this.#count, this.#limits, ageMs - this.#lastGrowthMs);
  }

  /** Reads the rest after its end; why it fails though it has ended by itself. */
  last(): AgentVerdict | null {
    this.#read(LAST_BYTES);
    this.#endLine();
    return verdictOn(this.#count, this.#limits, 0);
  }

  /** What it told so far that it used; undefined for a program that tells nothing of it. */
  get used(): AgentUsage | undefined {
    const { turns, tokens, costUsd } = this.#count;
    return this.#count === noCount ? undefined : { turns, tokens, costUsd };
  }

  #read(mostBytes: number): number {
    let fd: number;
    try {
      fd = openSync(fsPath(this.#path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return 0; // The agent removed it: its output is examined when it has ended.
    }
    try {
      let sum = 0;
      while (sum < mostBytes) {
        const bytes = readSync(fd, buffer, 0, buffer.length, this.#offset);
        if (bytes === 0) break;
        this.#offset += bytes;
        sum += bytes;
        this.#take(buffer.subarray(0, bytes));
      }
      return sum;
    } finally {
      closeSync(fd);
    }
  }

  #take(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      this.#keep(bytes.subarray(start, end));
      this.#endLine();
      start = end + 1;
    }
    this.#keep(bytes.subarray(start));
  }

  #keep(bytes: Buffer): void {
    this.#partBytes += bytes.length;
    if (this.#partBytes <= MAX_LINE_BYTES) this.#parts.push(Buffer.from(bytes));
    else this.#parts = [];
  }

  #endLine(): void {
    if (this.#partBytes <= MAX_LINE_BYTES) this.#count = countLine(this.#count, Buffer.concat(this.#parts).toString());
    this.#parts = [];
    this.#partBytes = 0;
  }
}
