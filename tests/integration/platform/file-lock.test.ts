import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { withFileLock, withFileLockAtExit } from "../../../src/platform/file-lock.ts";
import { countLeases, releaseLease, takeLease } from "../../../src/platform/leases.ts";
import { identityOf, isAlive, ownIdentity } from "../../../src/platform/process-identity.ts";
import { makeTempFolder } from "../../support/temp-folder.ts";

describe("process identity", () => {
  test("tells this process from a later one with its pid", () => {
    expect(identityOf(process.pid)).toEqual(ownIdentity());
    expect(isAlive(ownIdentity())).toBe(true);
    expect(isAlive({ pid: process.pid, startedAt: "1" })).toBe(false);
    expect(identityOf(2 ** 22 + 1)).toBeUndefined();
  });
});

describe("file lock", () => {
  test("lets one at a time in, and leaves nothing", async () => {
    using temp = makeTempFolder();
    const path = join(temp.path, "lock");
    let inside = 0;
    let most = 0;
    const enter = () =>
      withFileLock(path, async () => {
        inside += 1;
        most = Math.max(most, inside);
        await new Promise((resolve) => setImmediate(resolve));
        inside -= 1;
      });
    await Promise.all(Array.from({ length: 8 }, enter));
    expect(most).toBe(1);
    expect(readdirSync(temp.path)).toEqual([]);
  });

  test("is left to a process that outlives its owner, until that one has ended", async () => {
    using temp = makeTempFolder();
    const path = join(temp.path, "lock");
    const child = spawn("sleep", ["60"]);
    const heir = identityOf(child.pid ?? 0);
    withFileLockAtExit(path, () => heir);
    let isIn = false;
    const entered = withFileLock(path, () => {
      isIn = true;
      return Promise.resolve();
    });
    await expect(withFileLock(path, () => Promise.resolve(), { waitMs: 0 })).rejects.toThrow("to be free");
    expect(() => {
      withFileLockAtExit(path, () => undefined, 0);
    }).toThrow("found it held");
    expect(isIn).toBe(false);
    child.kill("SIGKILL");
    await entered;
    withFileLockAtExit(path, () => undefined);
    expect(readdirSync(temp.path)).toEqual([]);
  });

  test("takes over from an owner that has ended, once", async () => {
    using temp = makeTempFolder();
    const path = join(temp.path, "lock");
    writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: "1", nonce: "abc" }));
    const entered: number[] = [];
    await Promise.all([1, 2, 3].map((who) => withFileLock(path, () => Promise.resolve(entered.push(who)))));
    expect(entered.toSorted()).toEqual([1, 2, 3]);
    expect(readdirSync(temp.path)).toEqual([]);
  });

  test("is released when the work fails", async () => {
    using temp = makeTempFolder();
    const path = join(temp.path, "lock");
    await expect(withFileLock(path, () => Promise.reject(new Error("work failed")))).rejects.toThrow("work failed");
    expect(await withFileLock(path, () => Promise.resolve("again"))).toBe("again");
  });

  test("gives up on one that is held too long, and says by whom", async () => {
    using temp = makeTempFolder();
    const path = join(temp.path, "lock");
    await withFileLock(path, async () => {
      const second = withFileLock(path, () => Promise.resolve(), { waitMs: 60 });
      await expect(second).rejects.toThrow(`found process ${process.pid} holding it`);
    });
  });
});

describe("leases", () => {
  test("count those who live, and forget those who ended", () => {
    using temp = makeTempFolder();
    const folder = join(temp.path, "leases");
    const first = takeLease(folder);
    const second = takeLease(folder);
    writeFileSync(join(folder, "1-stale.json"), JSON.stringify({ pid: process.pid, startedAt: "1" }));
    writeFileSync(join(folder, "2-torn.json"), "{");
    expect(countLeases(folder)).toBe(2);
    expect(readdirSync(folder)).toHaveLength(2);
    releaseLease(first);
    releaseLease(first);
    expect(countLeases(folder)).toBe(1);
    releaseLease(second);
    expect(countLeases(folder)).toBe(0);
  });
});
