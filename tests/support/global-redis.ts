/** One real Redis for all integration tests of a run; each test has its own key prefix on it. */
import type { TestProject } from "vitest/node";
import { startSuiteRedis } from "./matrix.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startSuiteRedis();
  project.provide("redisUrl", server.url);
  return () => server.stop();
}
