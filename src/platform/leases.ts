/** Who uses a shared thing: one file per user, naming its process. A user that has ended does not count. */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolders } from "./make-folders.ts";
import { isAlive, ownIdentity, processIdentity } from "./process-identity.ts";

/** Writes a lease of this process into the folder; the path is what `releaseLease` takes. */
export function takeLease(folder: string): string {
  makeFolders(folder);
  const self = ownIdentity();
  const path = join(folder, `${self.pid}-${randomBytes(6).toString("hex")}.json`);
  writeFileSync(path, JSON.stringify(self), { flag: "wx", mode: 0o600 });
  return path;
}

export function releaseLease(path: string): void {
  rmSync(path, { force: true });
}

/** How many users live, after removing the leases of those that ended. Call it under the lock that guards the folder. */
export function countLeases(folder: string): number {
  let live = 0;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (isLive(path)) live += 1;
    else rmSync(path, { force: true });
  }
  return live;
}

function isLive(path: string): boolean {
  try {
    const holder = processIdentity.safeParse(JSON.parse(readFileSync(path, "utf8")));
    return holder.success && isAlive(holder.data);
  } catch {
    return false; // half a lease was written by a process that died at it
  }
}
