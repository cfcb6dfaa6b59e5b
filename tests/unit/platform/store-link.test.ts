import { expect, test, vi } from "vitest";
import { Metrics } from "../../../src/platform/metrics.ts";
import { exposeStoreLink } from "../../../src/platform/store-link.ts";
import { quietLogger } from "../../support/quiet-logger.ts";

/** Metrics of a process whose store answers as `ping` does. */
function exposing(ping: () => Promise<void>): Metrics {
  const metrics = new Metrics({ version: "1", process: "worker" }, quietLogger);
  exposeStoreLink({ metrics, store: { ping } });
  return metrics;
}

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
