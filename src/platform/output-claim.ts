/**
 * The claim of a run on its output folder: a file that runs of other clusters and other data folders see, and that no
 * process has to outlive. It lies in a folder of its own below the output folder, so that looking is cheap however many
 * outputs there are:
 *
 *   <root>/.headroom-claims/<run>       held: written again every few seconds by the workers of the run's cluster
 *   <root>/.headroom-claims/<run>.new   asked for: somebody looks whether others are there
 *
 * A claim that was not written for `CLAIM_STALE_MS` is nobody's: its cluster is dead, and the next claimant removes it.
 * Ages are differences of two times of the same file system, so no two clocks are compared, and a process id, which
 * means nothing on another machine, is only told to people.
 *
 * Two claimants never both win: each makes its own file first and looks for others then, so at least one sees the other.
 * A holder that was stopped for longer than half the time has to look again (`holdClaim`), which finds whoever came.
 */
import { randomInt } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { open, readdir, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { TEMPORARY_PREFIX } from "../contract/output-names.ts";
import { fsPath, printablePath } from "../contract/path-bytes.ts";
import { realPathOf } from "./confined-path.ts";
import { makeFoldersAsync } from "./make-folders.ts";

/** A claim that was not written for this long is nobody's. */
export const CLAIM_STALE_MS = 30_000;
/** A claim that was written within this time was never anybody else's in between. */
export const CLAIM_FRESH_MS = CLAIM_STALE_MS / 2;

const FOLDER = `${TEMPORARY_PREFIX}claims`;
const NEW = ".new";
/** Two that ask at the same moment both step back, and ask again after a pause that differs. */
const ROUNDS = 3;
const PAUSE_MS = 100;

const note = z.object({ host: z.string(), pid: z.number() });

/** Another run that writes where this one would. */
export interface ClaimHolder {
  readonly runId: string;
  /** The folder that it has claimed. */
  readonly root: string;
  readonly ageMs: number;
  /** Who wrote the claim last, for people. */
  readonly by: string;
}

/** Whether this cluster knows that the run has ended: then its claim is a leftover. */
export type KnowsEnd = (runId: string) => Promise<boolean>;

/** Claims the folder, or finds out who holds it or one above it. @throws an error with an errno code */
export async function holdClaim(root: string, runId: string, knowsEnd: KnowsEnd): Promise<ClaimHolder | undefined> {
  for (let round = 1; ; round += 1) {
    const nowMs = await writeClaim(root, `${runId}${NEW}`);
    const heldMs = await writtenMs(pathOf(root, runId));
    if (heldMs !== undefined && nowMs - heldMs < CLAIM_FRESH_MS) {
      await rm(pathOf(root, `${runId}${NEW}`), { force: true });
      return undefined;
    }
    const other = await findHolder(root, { nowMs, runId, knowsEnd, onLeftover: (path) => rm(path, { force: true }) });
    if (other === undefined) {
      if (await isRenamed(root, runId)) return undefined;
    } else {
      await dropClaim(root, runId);
      if (round >= ROUNDS) return other;
    }
    await sleep(PAUSE_MS + randomInt(PAUSE_MS));
  }
}

/** Another worker of the same run may have given up in between: then it is asked for again. */
async function isRenamed(root: string, runId: string): Promise<boolean> {
  try {
    await rename(pathOf(root, `${runId}${NEW}`), pathOf(root, runId));
    return true;
  } catch (error) {
    if (isCode(error, "ENOENT")) return false;
    throw error;
  }
}

/**
 * Sees to it that a held claim is written again, by this worker or by another of its cluster since `seenMs`; when it was
 * written by the clock of the file system, or undefined when it is not there (any more).
 */
export async function renewClaim(root: string, runId: string, seenMs: number): Promise<number | undefined> {
  const atMs = await writtenMs(pathOf(root, runId));
  return atMs === undefined || atMs !== seenMs ? atMs : write(pathOf(root, runId), "r+");
}

/** When the claim of the run was last written; undefined when this machine sees none. */
export function claimWrittenMs(root: string, runId: string): Promise<number | undefined> {
  return writtenMs(pathOf(root, runId));
}

/** Gives the folder back, and leaves nothing of the claim there. */
export async function dropClaim(root: string, runId: string): Promise<void> {
  try {
    await rm(pathOf(root, runId), { force: true });
    await rm(pathOf(root, `${runId}${NEW}`), { force: true });
    await rmdir(fsPath(claimsOf(root)));
  } catch (error) {
    // Others have claims there, or it is gone already.
    if (!isCode(error, "ENOTEMPTY", "EEXIST", "ENOENT", "ENOTDIR")) throw error;
  }
}

export interface HolderQuestion {
  /** The present by the clock of the file system. */
  readonly nowMs: number;
  /** Whose own claims do not count. */
  readonly runId: string;
  readonly knowsEnd: KnowsEnd;
  /** Told of claims in the folder itself that are nobody's. */
  readonly onLeftover?: (path: string | Buffer) => Promise<void>;
}

/** Another run that holds this folder or one above it, which it may write below as well. */
export async function findHolder(root: string, question: HolderQuestion): Promise<ClaimHolder | undefined> {
  const { nowMs, runId, knowsEnd, onLeftover } = question;
  const own = realPathOf(root);
  for (const folder of upwards(own)) {
    for (const name of await namesIn(folder)) {
      const other = name.endsWith(NEW) ? name.slice(0, -NEW.length) : name;
      if (other === runId) continue;
      const atMs = await writtenMs(pathOf(folder, name));
      if (atMs === undefined) continue;
      const ageMs = Math.max(0, nowMs - atMs);
      if (ageMs < CLAIM_STALE_MS && !(await knowsEnd(other))) {
        return { runId: other, root: folder, ageMs, by: await writerOf(pathOf(folder, name)) };
      }
      if (folder === own) await onLeftover?.(pathOf(folder, name));
    }
  }
  return undefined;
}

/** The run that holds a folder between `root` (not looked at) and `folder`, by the clock of this machine. For threads. */
export function holderBelow(root: string, folder: string, nowMs = Date.now()): string | undefined {
  for (const part of upwards(folder)) {
    if (part === root || part.length <= root.length) return undefined;
    try {
      for (const name of readdirSync(fsPath(claimsOf(part)))) {
        if (nowMs - statSync(pathOf(part, name)).mtimeMs < CLAIM_STALE_MS) return name.replace(NEW, "");
      }
    } catch (error) {
      // Nobody claims it, or it was given back while we looked.
      if (!isCode(error, "ENOENT", "ENOTDIR")) throw error;
    }
  }
  return undefined;
}

/** What is said to whoever asked for a folder that another cluster, or another data folder, writes to. */
export function heldText(root: string, { runId, root: held, ageMs, by }: ClaimHolder): string {
  const where = held === root ? "" : `, which writes to ${printablePath(held)},`;
  return (
    `output folder ${printablePath(root)}: expected no other run to write there, found run ${runId}${where} of another ` +
    `cluster or data folder (${by}, last sign of life ${Math.round(ageMs / 1_000)} s ago); wait for it, or name another ` +
    `folder; one that was killed gives the folder free after ${CLAIM_STALE_MS / 1_000} s`
  );
}

function* upwards(folder: string): Generator<string> {
  let at = folder;
  for (; dirname(at) !== at; at = dirname(at)) yield at;
  yield at;
}

function claimsOf(root: string): string {
  return `${root === "/" ? "" : root}/${FOLDER}`;
}

function pathOf(root: string, name: string): string | Buffer {
  return fsPath(`${claimsOf(root)}/${name}`);
}

/** Writes the file, which is made with its folders if it is not there; the time that the file system gave it. */
async function writeClaim(root: string, name: string): Promise<number> {
  for (;;) {
    // By itself first: what is in the way of it is told as that.
    await makeFoldersAsync(root, 0o777);
    await makeFoldersAsync(claimsOf(root), 0o777);
    const atMs = await write(pathOf(root, name), "w");
    // Whoever gave the folder back took the claims' folder away in between: make it again.
    if (atMs !== undefined) return atMs;
  }
}

/** Writes what is said of the writer: a new time, by the clock of the file system. Undefined when it is not there. */
async function write(path: string | Buffer, flags: "r+" | "w"): Promise<number | undefined> {
  try {
    const file = await open(path, flags, 0o644);
    try {
      await file.write(`${JSON.stringify({ host: hostname(), pid: process.pid })}\n`, 0);
      return (await file.stat()).mtimeMs;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(fsPath(claimsOf(folder)));
  } catch (error) {
    // A folder above that may not be read is no folder that a run of ours could have claimed.
    if (isCode(error, "ENOENT", "ENOTDIR", "EACCES")) return [];
    throw error;
  }
}

async function writtenMs(path: string | Buffer): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

async function writerOf(path: string | Buffer): Promise<string> {
  try {
    const { host, pid } = note.parse(JSON.parse(await readFile(path, "utf8")));
    return `process ${pid} on ${host}`;
  } catch {
    return "an unknown process"; // given back while we looked, or half written: who it was is only told to people
  }
}

function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);
}
