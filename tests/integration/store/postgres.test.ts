import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InfrastructureError } from "../../../src/contract/errors.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { startPostgres, type PostgresServer } from "../../support/postgres.ts";
import { describeStore } from "./conformance.ts";
import { addRun, quiet, resultOf } from "./fixtures.ts";
import { describeInferences } from "./inferences.ts";
import { describePlans } from "./plans.ts";
import { describeSchedules } from "./schedules.ts";
import { inProcesses } from "./processes.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describeStore("postgres", () => server.createDatabase());
describeInferences("postgres", () => server.createDatabase());
describePlans("postgres", () => server.createDatabase());
describeSchedules("postgres", () => server.createDatabase());

describe("store on a PostgreSQL server", () => {
  test("is migrated by several processes at once", async () => {
    const url = await server.createDatabase();
    const outputs = await inProcesses(
      4,
      url,
      `await store.migrate(); console.log(await store.runs.list({ limit: 1 }));`,
    );
    expect(outputs).toEqual(["[]\n", "[]\n", "[]\n", "[]\n"]);
  });

  test("tells of writes that the server refuses, and of nothing else", async () => {
    const url = await server.createDatabase();
    await using writable = await openStore(url, quiet);
    await writable.migrate();
    await addRun(writable, "r");
    const readOnly = new URL(url);
    readOnly.searchParams.set("options", "-c default_transaction_read_only=on");
    await using store = await openStore(readOnly.href, quiet);
    const faults: string[] = [];
    store.onWriteFault((fault) => faults.push(fault));
    await store.ping();
    expect(await store.runs.get("r")).toMatchObject({ id: "r" });
    expect(faults).toEqual([]);
    await expect(store.files.record("r", 0, [resultOf("a")])).rejects.toThrow(/expected a server that can be written/);
    expect(faults).toEqual(["read-only"]);
  });

  test("works again by itself after the server restarts, and loses nothing", async () => {
    await using store = await openStore(await server.createDatabase(), quiet);
    await store.migrate();
    await addRun(store, "r");
    await store.files.record("r", 0, [resultOf("a")]);
    await server.stop();
    await expect(store.files.record("r", 0, [resultOf("b")])).rejects.toThrow(InfrastructureError);
    await expect(store.ping()).rejects.toThrow(/expected a server that (answers|is up), found/);
    await server.start();
    expect(await store.files.record("r", 0, [resultOf("b")])).toEqual([]);
    expect(await store.files.counts("r", 0)).toMatchObject({ total: 2 });
  });

  test("survives connections that are ended under it", async () => {
    await using store = await openStore(await server.createDatabase(), quiet);
    await store.migrate();
    await addRun(store, "r");
    const write = async (at: number): Promise<void> => {
      try {
        await store.files.record("r", 0, [resultOf(`f${at}`)]);
      } catch (error) {
        expect(error).toBeInstanceOf(InfrastructureError);
        await write(at);
      }
    };
    const writes = Array.from({ length: 200 }, (_, at) => write(at));
    for (let round = 0; round < 20; round += 1) {
      await server.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'headroom'");
    }
    await Promise.all(writes);
    expect(await store.files.counts("r", 0)).toMatchObject({ total: 200, succeeded: 200 });
  });

  test("says so when the database, the server or the tables are missing, without the password", async () => {
    await expect(openStore(server.url("missing"), quiet)).rejects.toThrow(/expected an existing database, found/);
    const refused = openStore("postgres://someone:s3cret@127.0.0.1:1/db", quiet);
    await expect(refused).rejects.toThrow(InfrastructureError);
    await expect(refused).rejects.toThrow(
      /store postgres:\/\/127\.0\.0\.1:1\/db: expected a server that answers, found/,
    );
    await expect(refused).rejects.not.toThrow(/s3cret/);
    await using store = await openStore(await server.createDatabase(), quiet);
    await expect(store.runs.get("r")).rejects.toThrow(/expected the tables of a migrated store/);
  });

  test("refuses a database that cannot hold every name", async () => {
    const url = await server.createDatabase("encoding 'SQL_ASCII' locale 'C' template template0");
    await expect(openStore(url, quiet)).rejects.toThrow(/expected a database with encoding UTF8, found SQL_ASCII/);
  });
});
