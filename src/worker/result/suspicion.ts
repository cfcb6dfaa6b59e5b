/**
 * When a file that ran as a worker was lost is started again, and beside what. Pure.
 *
 * A loss does not say which of the files that ran caused it, nor whether any did: workers are also killed from outside.
 * Three losses are what a worker-killer may cost, so the second and the third must tell it from bad luck:
 *   no loss    ordinary; while workers are being lost, announced one by one, so that a loss blames what ran and no more
 *   one loss   by itself, in a chunk of its own, on a worker that has been up for a while
 *   two losses alone on its worker, which has been up for longer, when no loss was noticed for as long: a further loss
 *              blames nobody else
 * Workers that are killed again and again from outside do not live that long, so suspects wait until that is over. A
 * file that kills its worker is started each time, sooner or later, and is caught at the third. One success clears it.
 */
import type { FileEntry } from "../../contract/files.ts";

/** For how long after a loss was noticed files are announced one by one. */
export const UNREST_MS = 60_000;
/** How long a worker has been up before it starts a file with so many losses. */
const UP_MS = [0, 3_000, 10_000] as const;
/** How long no loss was noticed anywhere before a file runs alone; a worker that has been up for long does not wait. */
const CALM_MS = 10_000;
const UP_FOR_LONG_MS = 60_000;
/** With so many losses a file runs alone on its worker. */
const ALONE_FROM = 2;

export type SuspectStart =
  { readonly kind: "start"; readonly isAlone: boolean } | { readonly kind: "wait"; readonly waitMs: number };

/** How long this worker has been up, and since when no loss was noticed. */
export interface Calm {
  readonly upMs: number;
  readonly calmMs: number;
}

/** Whether a file with so many losses is started now. */
export function decideStart(losses: number, { upMs, calmMs }: Calm): SuspectStart {
  const isAlone = losses >= ALONE_FROM;
  const neededUpMs = UP_MS[Math.min(losses, ALONE_FROM)] ?? 0;
  // In a large cluster there is always some loss: without an end to this wait the file would never run.
  const neededCalmMs = isAlone && upMs < UP_FOR_LONG_MS ? CALM_MS : 0;
  const waitMs = Math.ceil(Math.max(neededUpMs - upMs, neededCalmMs - calmMs));
  return waitMs > 0 ? { kind: "wait", waitMs } : { kind: "start", isAlone };
}

/** How often a worker was lost while the file's process ran, as its entry tells. */
export function lossesOf(file: FileEntry): number {
  return file.tries?.["node-lost"] ?? 0;
}

/** The entry of a file that ran when so many workers were lost. */
export function withLosses(file: FileEntry, losses: number): FileEntry {
  return { ...file, tries: { ...file.tries, "node-lost": losses } };
}

/** Whether the file was there when something crashed: it goes alone. */
export function isSuspect(file: FileEntry | undefined): boolean {
  const tries = file?.tries;
  return file !== undefined && (lossesOf(file) > 0 || (tries?.signal ?? 0) > 0 || (tries?.infrastructure ?? 0) > 0);
}
