/**
 * A lock between processes of one machine: a file that is made whole, or not at all, and names its owner.
 *
 * Free: no file. Held: the file names a process that lives. Stale: it names one that has ended; then whoever makes the
 * marker file for that owner's nonce may remove it, after reading again that it still is the same one. So two that find
 * the same stale lock cannot both remove it, and neither can remove the lock that came after it.
 */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { InfrastructureError } from "../contract/errors.ts";
import { systemClock, type Clock } from "./clock.ts";
import { isAlive, ownIdentity, processIdentity, type ProcessIdentity } from "./process-identity.ts";

const owner = processIdentity.extend({ nonce: z.string().regex(/^[0-9a-f]+$/) });
type Owner = z.output<typeof owner>;

const RETRY_MS = 25;

/** Runs `work` while this process holds the lock at `path`. @throws {InfrastructureError} when it is held past `waitMs`. */
export async function withFileLock<T>(
  path: string,
  work: () => Promise<T>,
  { waitMs = 60_000, clock = systemClock }: { waitMs?: number; clock?: Clock } = {},
): Promise<T> {
  const self = newOwner();
  const deadlineMs = clock.monotonicMs() + waitMs;
  while (!tryLock(path, self)) {
    const holder = readOwner(path);
    if (holder !== undefined && !isAlive(holder)) breakStale(path, holder);
    else if (clock.monotonicMs() > deadlineMs) {
      const found = holder === undefined ? "a file that names no process" : `process ${holder.pid} holding it`;
      throw new InfrastructureError(`expected the lock ${path} to be free within ${waitMs} ms, found ${found}`);
    } else await clock.sleep(RETRY_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/**
 * For a process that ends now and can wait for nothing else: runs `work` under the lock, which is then free, or is held by
 * the process that `work` names until that one has ended. @throws {InfrastructureError} when it is held past `waitMs`
 */
export function withFileLockAtExit(path: string, work: () => ProcessIdentity | undefined, waitMs = 300): void {
  const self = newOwner();
  for (let leftMs = waitMs; !tryLock(path, self); leftMs -= RETRY_MS) {
    const holder = readOwner(path);
    if (holder !== undefined && !isAlive(holder)) breakStale(path, holder);
    else if (leftMs <= 0) throw new InfrastructureError(`expected the lock ${path} to be free, found it held`);
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
  }
  let heir: ProcessIdentity | undefined;
  try {
    heir = work();
  } finally {
    if (heir === undefined) rmSync(path, { force: true });
    else bequeath(path, { pid: heir.pid, startedAt: heir.startedAt, nonce: self.nonce });
  }
}

/** The lock is held all the time: one owner's file takes the place of the other's. */
function bequeath(path: string, heir: Owner): void {
  const draft = `${path}.${heir.nonce}`;
  writeFileSync(draft, JSON.stringify(heir), { flag: "wx", mode: 0o600 });
  renameSync(draft, path);
}

function newOwner(): Owner {
  return { ...ownIdentity(), nonce: randomBytes(8).toString("hex") };
}

/** Makes the lock file with its content in one step, so that nobody ever reads an empty one. */
function tryLock(path: string, self: Owner): boolean {
  const draft = `${path}.${self.nonce}`;
  writeFileSync(draft, JSON.stringify(self), { flag: "wx", mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
}

function readOwner(path: string): Owner | undefined {
  try {
    return owner.safeParse(JSON.parse(readFileSync(path, "utf8"))).data;
  } catch {
    return undefined; // released since, or not ours: the caller tries again until its deadline
  }
}

function breakStale(path: string, stale: Owner): void {
  const marker = `${path}.stale-${stale.nonce}`;
  if (!tryLock(marker, newOwner())) {
    const breaker = readOwner(marker);
    // The one that was removing it has ended too.
    if (breaker !== undefined && !isAlive(breaker)) rmSync(marker, { force: true });
    return;
  }
  try {
    if (readOwner(path)?.nonce === stale.nonce) rmSync(path, { force: true });
  } finally {
    rmSync(marker, { force: true });
  }
}
