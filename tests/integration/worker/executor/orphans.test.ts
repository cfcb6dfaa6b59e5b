/** What launchers left behind that ended without a chance to look after it. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { killOrphans } from "../../../../src/worker/executor/orphans.ts";

const children: ChildProcess[] = [];

afterEach(() => {
  delete process.env["HEADROOM_JOB"];
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** A process of a job of this launcher; it is there once it has said so. */
async function job(token: string): Promise<ChildProcess> {
  return started(["-e", "$| = 1; print 1; sleep 60"], { HEADROOM_JOB: `${token}.7.` });
}

async function started(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ChildProcess> {
  const child = spawn("perl", args, { env, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

const newToken = () => randomBytes(12).toString("hex");
const endOf = async (child: ChildProcess) => child.signalCode ?? ((await once(child, "exit"))[1] as string | null);

describe("orphans of a launcher", () => {
  test("are killed though they stand still, and those of one that lives are not", async () => {
    const [lost, live] = [newToken(), newToken()];
    await started(["-e", "$| = 1; print 1; sleep 60", "/where/launcher.pl", "x64", live, "/tmp", "0", "0"]);
    const [orphan, kept] = [await job(lost), await job(live)];
    orphan.kill("SIGSTOP");
    expect(killOrphans()).toBeGreaterThanOrEqual(1);
    expect(await endOf(orphan)).toBe("SIGKILL");
    expect(kept.kill(0)).toBe(true);
    expect(kept.signalCode).toBeNull();
  });

  test("are left alone where this process is one of them: its launcher may be out of sight", async () => {
    const own = newToken();
    process.env["HEADROOM_JOB"] = `${own}.3.`;
    const [sibling, orphan] = [await job(own), await job(newToken())];
    killOrphans();
    expect(await endOf(orphan)).toBe("SIGKILL");
    expect(sibling.signalCode).toBeNull();
  });
});
