import { defineConfig } from "vitest/config";

const project = (name: string, testTimeout: number, extra: object = {}) => ({
  test: { name, include: [`tests/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout, ...extra },
});

export default defineConfig({
  test: {
    // Tests that load the runtime of models themselves tell nobody of it either.
    env: { ORT_DISABLE_TELEMETRY: "1" },
    // Most files wait for processes, leases and servers more than they compute: two at a time, on two cores too.
    maxWorkers: 2,
    projects: [
      project("unit", 10_000),
      project("parity", 20_000),
      project("integration", 60_000, { globalSetup: ["tests/support/global-redis.ts"] }),
      project("e2e", 300_000),
    ],
  },
});
