/**
 * When a file that ran as a worker was lost is started again, and beside what. Pure.
 *
 * A loss does not say which of the files that ran caused it, nor whether any did: workers are also killed from outside.
 * Three losses are what a worker-killer may cost, so the second and the third must tell it from bad luck:
 *   no loss    ordinary
 *   one loss   by itself in its chunk, after the ordinary files, on a worker that has been up for a while
 *   two losses alone on its worker, which has been up for longer: a further loss blames nobody else
 * Workers that are killed again and again from outside do not live that long, so suspects wait until that is over. A
 * file that kills its worker is started each time, sooner or later, and is caught at the third. One success clears it.
 */
import type { FileEntry } from "../../contract/files.ts";

/** How long a worker has been up before it starts a file with so many losses. */
const UP_MS = [0, 3_000, 10_000] as const;
/** With so many losses a file runs alone on its worker. */
const ALONE_FROM = 2;

export type SuspectStart =
  | { readonly kind: "start"; readonly isAlone: boolean }
  | { readonly kind: "wait"; readonly waitMs: number };

/** Whether a worker that has been up for `upMs` starts a file with so many losses now. */
export function decideStart(losses: number, upMs: number): SuspectStart {
  const neededMs = UP_MS[Math.min(losses, ALONE_FROM)] ?? 0;
  if (upMs < neededMs) return { kind: "wait", waitMs: Math.ceil(neededMs - upMs) };
  return { kind: "start", isAlone: losses >= ALONE_FROM };
}

/** How often a worker was lost while the file's process ran, as its entry tells. */
export function lossesOf(file: FileEntry): number {
  return file.tries?.["node-lost"] ?? 0;
}

/** The entry of a file that ran when so many workers were lost. */
export function withLosses(file: FileEntry, losses: number): FileEntry {
  return { ...file, tries: { ...file.tries, "node-lost": losses } };
}
