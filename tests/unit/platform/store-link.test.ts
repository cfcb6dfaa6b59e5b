import { expect, test, vi } from "vitest";
import { Metrics } from "../../../src/platform/metrics.ts";
import { exposeStoreLink } from "../../../src/platform/store-link.ts";
import { SqliteError } from "../../../src/store/store-errors.ts";
import { WriteFaults } from "../../../src/store/write-faults.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

/** Metrics of a process whose store answers as `ping` does. */
function exposing(ping: () => Promise<void>): Metrics {
  const metrics = new Metrics({ version: "1", process: "worker" }, quietLogger);
  exposeStoreLink({ metrics, store: { ping, onWriteFault: () => undefined } });
  return metrics;
}

test("writes that the store refused are counted by what it said", async () => {
  const metrics = new Metrics({ version: "1", process: "scheduler" }, quietLogger);
  const faults = new WriteFaults();
  exposeStoreLink({
    metrics,
    store: {
      ping: () => Promise.resolve(),
      onWriteFault: (listener) => {
        faults.listen(listener);
      },
    },
  });
  const counted = async (reason: string) =>
    new RegExp(`^headroom_store_write_failures_total\\{reason="${reason}"\\} (\\d+)$`, "m").exec(
      await metrics.expose(),
    )?.[1];
  expect(await Promise.all(["full", "read-only", "disk"].map(counted))).toEqual(["0", "0", "0"]);
  const SQLITE_FULL = 13;
  faults.see(new SqliteError("database or disk is full", SQLITE_FULL));
  faults.see(Object.assign(new Error("could not extend file"), { code: "53100" }));
  faults.see(Object.assign(new Error("cannot execute INSERT in a read-only transaction"), { code: "25006" }));
  faults.see(new SqliteError("database is locked", 5));
  expect(await Promise.all(["full", "read-only", "disk"].map(counted))).toEqual(["2", "1", "0"]);
});

test("a store that answers is up, one that refuses is not", async () => {
  let isUp = true;
  const metrics = exposing(() => (isUp ? Promise.resolve() : Promise.reject(new Error("refused"))));
  expect(await metrics.expose()).toMatch(/^headroom_store_up 1$/m);
  isUp = false;
  expect(await metrics.expose()).toMatch(/^headroom_store_up 0$/m);
});

test("a store that hangs is down after a second, and is asked once", async () => {
  let answer: () => void = () => undefined;
  const ping = vi.fn(() => new Promise<void>((resolve) => (answer = resolve)));
  const metrics = exposing(ping);
  const startedMs = performance.now();
  expect(await metrics.expose()).toMatch(/^headroom_store_up 0$/m);
  expect(performance.now() - startedMs).toBeLessThan(3_000);
  expect(await metrics.expose()).toMatch(/^headroom_store_up 0$/m);
  expect(ping).toHaveBeenCalledTimes(1);
  answer();
  await vi.waitFor(async () => {
    ping.mockResolvedValue();
    expect(await metrics.expose()).toMatch(/^headroom_store_up 1$/m);
  });
});
