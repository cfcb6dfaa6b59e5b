import { defineConfig } from "vitest/config";

const project = (name: string, testTimeout: number, extra: object = {}) => ({
  test: { name, include: [`tests/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout, ...extra },
});

export default defineConfig({
  test: {
    projects: [
      project("unit", 10_000),
      project("parity", 20_000),
      project("integration", 60_000, { globalSetup: ["tests/support/global-redis.ts"] }),
      // Whole processes and signals: one file at a time, so that two fault tests never fight over two cores.
      project("e2e", 300_000, { fileParallelism: false }),
    ],
  },
});
