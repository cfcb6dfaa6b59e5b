import { describe, expect, test } from "vitest";
import { isVersionBelow, parseInfo } from "../../../src/platform/redis-check.ts";

describe("redis check", () => {
  test.each([
    ["6.0.16", true],
    ["5.9", true],
    ["6.2", false],
    ["6.2.0", false],
    ["6.10.1", false],
    ["7.0.15", false],
    ["255.255.255", false],
    ["", true],
  ])("knows whether %j is below 6.2", (version, isBelow) => {
    expect(isVersionBelow(version, "6.2")).toBe(isBelow);
  });

  test("reads the fields of INFO", () => {
    const info = parseInfo("# Server\r\nredis_version:7.0.15\r\nexecutable:/a:b\r\n\r\n# Memory\r\nused_memory:1\r\n");
    expect([...info]).toEqual([
      ["redis_version", "7.0.15"],
      ["executable", "/a:b"],
      ["used_memory", "1"],
    ]);
  });
});
