import { describe, expect, test } from "vitest";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { parseRedisTarget, targetOfPrefix, unixTarget, withoutPassword } from "../../../src/platform/redis-target.ts";

describe("redis target", () => {
  test.each([
    ["redis://localhost", { host: "localhost", port: 6379, db: 0 }],
    ["redis://127.0.0.1:7000/3", { host: "127.0.0.1", port: 7000, db: 3 }],
    ["redis://[::1]:7000", { host: "::1", port: 7000, db: 0 }],
    ["redis://:p%40ss@h", { host: "h", port: 6379, db: 0, password: "p@ss" }],
    ["redis://me:pw@h?db=2", { host: "h", port: 6379, db: 2, username: "me", password: "pw" }],
    ["rediss://h:1", { host: "h", port: 1, db: 0, tls: { servername: "h" } }],
    ["unix:///run/r.sock", { path: "/run/r.sock", db: 0 }],
    ["unix:///run/a%20b/r.sock?db=4", { path: "/run/a b/r.sock", db: 4 }],
    ["unix://:pw@/run/r.sock", { path: "/run/r.sock", db: 0, password: "pw" }],
    [
      "redis+sentinel://a:1,b,[::1]:3/jobs/2",
      {
        sentinels: [
          { host: "a", port: 1 },
          { host: "b", port: 26_379 },
          { host: "::1", port: 3 },
        ],
        name: "jobs",
        db: 2,
      },
    ],
    [
      "redis+sentinel://u:p@a:1/jobs?sentinelPassword=s",
      { sentinels: [{ host: "a", port: 1 }], name: "jobs", db: 0, username: "u", password: "p", sentinelPassword: "s" },
    ],
    [
      "redis+sentinel://a:1/jobs?tls=true",
      { sentinels: [{ host: "a", port: 1 }], name: "jobs", db: 0, tls: {}, enableTLSForSentinelMode: true },
    ],
    ["redis+cluster://u:p@a:1,b?tls=true", { db: 0, username: "u", password: "p", tls: {} }],
  ])("reads %s", (target, options) => {
    expect(parseRedisTarget(target).options).toEqual(options);
  });

  test.each([
    "localhost:6379",
    "http://h",
    "redis://",
    "redis://h:99999",
    "redis://h/x",
    "unix://relative/r.sock",
    "unix:///a?db=x",
    "unix:///a%zz",
    "redis+sentinel://a:1",
    "redis+sentinel://a:1/jobs/2/3",
    "redis+sentinel://a:0/jobs",
    "redis+sentinel://a:b:c/jobs",
    "redis+cluster://",
    "redis+cluster://a:1/2",
    "redis+cluster://a:1?tls=yes",
    "",
  ])("refuses %j and says what it expected", (target) => {
    expect(() => parseRedisTarget(target)).toThrow(InvalidInputError);
    expect(() => parseRedisTarget(target)).toThrow(/redis: expected .+, found "/);
  });

  test.each([
    "redis://me:hunter2@h/x",
    "http://:hunter2@h",
    "unix://:hunter2@relative",
    "redis+sentinel://:hunter2@a",
    "redis+sentinel://a:1/m/x?sentinelPassword=hunter2",
  ])("never repeats the password of %s in an error", (target) => {
    expect(() => parseRedisTarget(target)).toThrow(expect.not.stringContaining("hunter2") as Error);
    expect(withoutPassword(target)).not.toContain("hunter2");
  });

  test.each(["redis://me:hunter2@h/1", "unix://:hunter2@/run/r.sock", "redis+sentinel://:hunter2@a/m"])(
    "describes %s without its password",
    (target) => {
      expect(parseRedisTarget(target).text).not.toContain("hunter2");
    },
  );

  test("knows the nodes of a cluster, and whose keys it is to find", () => {
    const seeds = [
      { host: "a", port: 1 },
      { host: "b", port: 6_379 },
    ];
    expect(parseRedisTarget("redis+cluster://:hunter2@a:1,b")).toMatchObject({
      cluster: { seeds, tag: "headroom" },
      text: "redis+cluster://a:1,b",
    });
    const target = targetOfPrefix("redis+cluster://a:1,b?tls=true", "mine");
    expect(parseRedisTarget(target).cluster).toEqual({ seeds, tag: "mine" });
    expect(targetOfPrefix(target, "other")).toBe(target);
    expect(targetOfPrefix("redis://a", "mine")).toBe("redis://a");
  });

  test("carries any socket path", () => {
    const path = "/home/a b/50%/what?#x/ü/redis.sock";
    expect(parseRedisTarget(unixTarget(path)).options.path).toBe(path);
  });
});
