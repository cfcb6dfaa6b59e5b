/** One real Redis for all integration tests of a run; each test has its own key prefix on it. */
import type { TestProject } from "vitest/node";
import { startRedis } from "./redis-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startRedis({ args: ["--appendonly", "no", "--maxmemory-policy", "noeviction"] });
  project.provide("redisUrl", server.url);
  return () => server.stop();
}
