import { expect, test } from "vitest";
import { UnsafeRedisError } from "../../../src/contract/errors.ts";
import { createClient } from "../../../src/producer/client.ts";
import { startRedis } from "../../support/redis-server.ts";

test("refuses a Redis that would lose jobs, and names the command that mends it", async () => {
  const server = await startRedis({ args: ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"] });
  try {
    await expect(createClient({ redis: server.url })).rejects.toThrow(UnsafeRedisError);
    await expect(createClient({ redis: server.url })).rejects.toThrow(/CONFIG SET maxmemory-policy noeviction/);
  } finally {
    await server.stop();
  }
});
