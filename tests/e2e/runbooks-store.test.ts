/** The pages of docs/runbooks about the store, played; and what a process tells of a store that is down, or full. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startPostgres } from "../support/postgres.ts";
import { playRunbook, RunbookCluster } from "../support/runbook.ts";
import { canMount, smallDisk } from "../support/small-disk.ts";

const SMALL = 8 * 1024 * 1024;
const PATIENT = { timeout: 60_000, interval: 100 };

test("store-down", async () => {
  await using postgres = await startPostgres();
  await using cluster = await RunbookCluster.open();
  cluster.env["HEADROOM_STORE_URL"] = await postgres.createDatabase();
  const worker = await cluster.start(["worker"]);
  const told = async () => /^headroom_store_up (\d)$/m.exec(await (await fetch(`${worker.url}/metrics`)).text())?.[1];
  expect(await told()).toBe("1");
  const [asked, started] = ["asked", "started"].map((name) => join(cluster.cli.scratch.path, name)) as [string, string];
  cluster.env["RUN"] = "none-yet";
  // The server is not this shell's to start: it asks for it and waits.
  cluster.env["START_STORE"] = `touch ${asked}; until test -e ${started}; do sleep 0.1; done`;
  const starting = expect
    .poll(() => existsSync(asked), { ...PATIENT, timeout: 200_000 })
    .toBe(true)
    .then(async () => {
      await postgres.start();
      writeFileSync(started, "");
    });
  await playRunbook("store-down", cluster, async () => {
    cluster.env["RUN"] = await cluster.enqueue(["sh", "-c", 'sleep 2; cat "$0"', "{input}"], { files: 3 });
    await postgres.stop();
    await expect.poll(told, PATIENT).toBe("0");
  });
  await starting;
  expect(await told()).toBe("1");
});

test.runIf(canMount)("store-full", async () => {
  await using cluster = await RunbookCluster.open();
  const folder = cluster.cli.scratch.folder("store");
  using _disk = smallDisk(folder, SMALL);
  cluster.env["HEADROOM_STORE_URL"] = `sqlite:${join(folder, "headroom.db")}`;
  const { running, url } = await cluster.start(["worker"]);
  Object.assign(cluster.env, { STORE: folder, METRICS: `${url}/metrics`, RUN: "none-yet" });
  const go = join(cluster.cli.scratch.path, "go");
  await playRunbook("store-full", cluster, async () => {
    const command = ["sh", "-c", `until test -e ${go}; do sleep 0.1; done; cat "$0"`, "{input}"];
    cluster.env["RUN"] = await cluster.enqueue(command, { files: 3 });
    expect(() => {
      writeFileSync(join(folder, "old.leftover"), Buffer.alloc(SMALL));
    }).toThrow(/ENOSPC/);
    writeFileSync(go, "");
  });
  // Whichever met the full disk first, the scan or the results.
  expect(running.stderr()).toMatch(/store does not take results, trying again|expected free space on the disk/);
  expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^headroom_store_up 1$/m);
});
