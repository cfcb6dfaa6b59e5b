/**
 * Ends what processes have left behind when nobody looks after them any more. They are known by the token of their launcher
 * in their environment (`HEADROOM_JOB`), and end whatever they do, or do not do: KILL reaches one that stands still too.
 */
import { readdirSync, readFileSync } from "node:fs";

const ROUNDS = 10;

/** Kills every process that carries one of these tokens, until none is left. */
export function killMarked(tokens: ReadonlySet<string>): void {
  for (let round = 0; round < ROUNDS; round += 1) {
    const marked = processes().filter((pid) => tokens.has(tokenOf(pid) ?? ""));
    if (marked.length === 0) return;
    for (const pid of marked) killQuietly(Number(pid));
  }
}

/**
 * Kills what launchers have left behind that ended without a chance to: a worker and its launcher killed in one moment. What
 * this process itself is a part of is left alone: its launcher may live where we cannot see it. Returns how many launchers.
 */
export function killOrphans(): number {
  const own = /^([^.]*)\./.exec(process.env["HEADROOM_JOB"] ?? "")?.[1];
  const left = new Set(processes().flatMap((pid) => tokenOf(pid) ?? []));
  if (own !== undefined) left.delete(own);
  // Looked at afterwards: a launcher is there before anything that it starts.
  if (left.size > 0) for (const pid of processes()) left.delete(launcherTokenOf(pid) ?? "");
  if (left.size > 0) killMarked(left);
  return left.size;
}

function processes(): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

function tokenOf(pid: string): string | undefined {
  return /(?:^|\0)HEADROOM_JOB=([^.\0]+)\./.exec(readQuietly(`/proc/${pid}/environ`))?.[1];
}

function launcherTokenOf(pid: string): string | undefined {
  return /launcher\.pl\0[^\0]*\0([^\0]+)\0/.exec(readQuietly(`/proc/${pid}/cmdline`))?.[1];
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // Gone by now, or of another user and so none of ours.
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself in between.
  }
}
