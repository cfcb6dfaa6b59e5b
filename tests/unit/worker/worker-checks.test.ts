import { describe, expect, test } from "vitest";
import { workerChecks } from "../../../src/worker/worker-checks.ts";

/** The readiness checks of a worker that pulls, whose governor cannot read these sensors. */
function readiness(...sensors: readonly string[]) {
  const degraded = sensors.map((sensor) => ({
    code: "NO_SENSOR" as const,
    sensor,
    message: `${sensor} cannot be read`,
  }));
  return workerChecks({
    loop: { isStuck: false, ages: { pullMs: 0, writeMs: 0 } as never },
    store: { ping: () => Promise.resolve() },
    redis: { status: "ready", ping: () => Promise.resolve("PONG" as const) },
    governor: { snapshot: () => ({ degraded }) },
    state: () => "working",
  }).readiness;
}

describe("readiness of a worker", () => {
  test("is refused while its governor reads no memory at all", async () => {
    await expect(readiness("gpu", "memory")["governor"]?.(new AbortController().signal)).rejects.toThrow(
      "memory cannot be read",
    );
  });

  test("is given with a governor that misses less than that", async () => {
    await expect(readiness()["governor"]?.(new AbortController().signal)).resolves.toBeUndefined();
    await expect(readiness("gpu", "host memory")["governor"]?.(new AbortController().signal)).resolves.toBeUndefined();
  });
});
