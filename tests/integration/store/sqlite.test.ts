import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { InfrastructureError, InvalidInputError } from "../../../src/contract/errors.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { fromSqlite, SqliteError } from "../../../src/store/store-errors.ts";
import { describeStore } from "./conformance.ts";
import { addRun, quiet, resultOf, specOf } from "./fixtures.ts";
import { describeInferences } from "./inferences.ts";
import { describePlans } from "./plans.ts";
import { describeSchedules } from "./schedules.ts";
import { inProcesses, onFullDisk } from "./processes.ts";

const folder = mkdtempSync(join(tmpdir(), "headroom-store-"));
const freshUrl = () => Promise.resolve(`sqlite:${folder}/${randomUUID()}/headroom.db`);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describeStore("sqlite", freshUrl);
describeInferences("sqlite", freshUrl);
describePlans("sqlite", freshUrl);
describeSchedules("sqlite", freshUrl);

describe("store in an SQLite file", () => {
  test("is made and migrated by several processes at once", async () => {
    const url = await freshUrl();
    const outputs = await inProcesses(
      4,
      url,
      `await store.migrate(); console.log(await store.runs.list({ limit: 1 }));`,
    );
    expect(outputs).toEqual(["[]\n", "[]\n", "[]\n", "[]\n"]);
  });

  test("leaves the event loop free while it works", async () => {
    await using store = await openStore(await freshUrl(), quiet);
    await store.migrate();
    await addRun(store, "r");
    for (let at = 0; at < 20_000; at += 1_000) {
      await store.files.record(
        "r",
        0,
        Array.from({ length: 1_000 }, (_, k) => resultOf(`f${at + k}`)),
      );
    }
    let turns = 0;
    let isWorking = true;
    const turn = () => {
      turns += 1;
      if (isWorking) setImmediate(turn);
    };
    setImmediate(turn);
    // Looks at every row, which takes many milliseconds; a loop that waited for it would not turn once.
    await store.files.page("r", 0, { limit: 1, search: "in no name" });
    isWorking = false;
    expect(turns).toBeGreaterThan(100);
  });

  test("says so when the file is none of SQLite's", async () => {
    const path = join(folder, "garbage.db");
    writeFileSync(path, "no database ".repeat(1_000));
    const opening = openStore(`sqlite:${path}`, quiet);
    await expect(opening).rejects.toThrow(InfrastructureError);
    await expect(opening).rejects.toThrow(/garbage\.db: expected an SQLite database, found/);
  });

  test("says so when there is a folder where the file or its folder should be", async () => {
    const path = join(folder, "folder.db");
    mkdirSync(path);
    await expect(openStore(`sqlite:${path}`, quiet)).rejects.toThrow(/expected a file that can be opened, found/);
    writeFileSync(join(folder, "file"), "");
    await expect(openStore(`sqlite:${folder}/file/headroom.db`, quiet)).rejects.toThrow(/expected a folder/);
    // Below /proc the kernel says that the folder above is not there, though it is.
    await expect(openStore("sqlite:/proc/none/headroom.db", quiet)).rejects.toThrow(
      /expected a folder that can be made/,
    );
  });

  test("says so when the disk is full, and keeps what it had taken", async () => {
    const url = await freshUrl();
    const program = `
      await store.migrate();
      await store.runs.create({ id: "r", spec: {}, createdAtMs: 1 });
      const row = ${JSON.stringify(resultOf("f"))};
      let taken = 0;
      const faults = [];
      store.onWriteFault((fault) => faults.push(fault));
      try {
        for (; ; taken += 1) await store.files.record("r", 0, [{ ...row, path: "f" + taken, log: "x".repeat(8_000) }]);
      } catch (error) {
        console.log(JSON.stringify({ taken, faults, code: error.code, message: error.message }));
      }`;
    const found = JSON.parse(await onFullDisk(512, url, program)) as {
      taken: number;
      faults: string[];
      code: string;
      message: string;
    };
    expect(found).toMatchObject({ code: "ERR_INFRASTRUCTURE" });
    // A limit of the process is no full disk to SQLite: it may call it one that fails.
    expect(found.faults).toEqual([expect.stringMatching(/^(full|disk)$/)]);
    expect(found.message).toMatch(
      /headroom\.db: expected (free space on the disk|a disk that reads and writes), found/,
    );
    await using store = await openStore(url, quiet);
    expect(await store.files.counts("r", 0)).toMatchObject({ total: found.taken });
  });

  test("says so when it was never migrated", async () => {
    await using store = await openStore(await freshUrl(), quiet);
    await expect(store.runs.get("r")).rejects.toThrow(/expected the tables of a migrated store/);
  });

  /** What a newer version does to the database: its statements, and the row that says so. */
  async function migratedByNewer(name: string, statements = ""): Promise<string> {
    const url = await freshUrl();
    await inProcesses(1, url, `await store.migrate();`);
    const program = `
      const { DatabaseSync } = await import("@photostructure/sqlite");
      const db = new DatabaseSync(${JSON.stringify(url.slice("sqlite:".length))});
      db.exec(${JSON.stringify(`${statements}; insert into headroom_migrations values ('${name}', '2999-01-01T00:00:00.000Z')`)});
      db.close();`;
    await inProcesses(1, await freshUrl(), program);
    return url;
  }

  test("refuses a schema of a later version that took something away", async () => {
    await using store = await openStore(await migratedByNewer("9999-drops-inputs"), quiet);
    await expect(store.migrate()).rejects.toThrow(
      /expected a schema that this version knows, found .*9999-drops-inputs/,
    );
  });

  test("reads and writes beside a later version that added something", async () => {
    const statements = [
      "alter table runs add column note text",
      "alter table file_results add column colour text default 'red'",
      "create table later (id text primary key)",
      "create index later_index on file_results (colour)",
    ].join("; ");
    await using store = await openStore(await migratedByNewer("9999-adds-notes", statements), quiet);
    await store.migrate();
    await store.runs.create({ id: "r", spec: specOf(), createdAtMs: 1 });
    expect(await store.files.record("r", 0, [resultOf("a")])).toEqual([]);
    expect(await store.files.get("r", ["a"])).toEqual([{ ...resultOf("a"), epoch: 0 }]);
    expect(await store.files.record("r", 0, [resultOf("a", { workerId: "late" })])).toHaveLength(1);
    await store.runs.move("r", ["queued"], "running", { startedAtMs: 2 });
    expect(await store.runs.get("r")).toMatchObject({ id: "r", state: "running", spec: specOf() });
    // Asked again by a process that starts later, nothing is done twice.
    await store.migrate();
  });

  test.each(["sqlite:relative.db", "sqlite:", "sqlite:/", "mysql://x/y", "nonsense", "", "postgres://["])(
    "refuses the URL %j",
    async (url) => {
      await expect(openStore(url, quiet)).rejects.toThrow(InvalidInputError);
    },
  );

  test("tells a fault of the disk from a fault of the code", () => {
    const full = fromSqlite("sqlite:/x", new SqliteError("database or disk is full", 13));
    expect(full).toMatchObject({ code: "ERR_INFRASTRUCTURE", retryable: true });
    expect(String(full)).toContain("store sqlite:/x: expected free space on the disk, found database or disk is full");
    const busy = fromSqlite("sqlite:/x", new SqliteError("database is locked", 261));
    expect(busy).toBeInstanceOf(InfrastructureError);
    const wrong = new SqliteError("no such column: x", 1);
    expect(fromSqlite("sqlite:/x", wrong)).toBe(wrong);
  });
});
