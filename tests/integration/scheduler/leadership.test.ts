/** The leader's lease and the connection of its term, in a real Redis. */
import { describe, expect } from "vitest";
import { LeadershipLostError } from "../../../src/contract/errors.ts";
import { keyPrefix, keys } from "../../../src/contract/queues.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { loadLeader } from "../../../src/platform/leader.ts";
import { Metrics } from "../../../src/platform/metrics.ts";
import { closeRedis, openRedis } from "../../../src/platform/redis.ts";
import { Leadership } from "../../../src/scheduler/leadership.ts";
import { LeaderLease } from "../../../src/scheduler/leader-lease.ts";
import { openTerm } from "../../../src/scheduler/term.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { SettableClock } from "../../support/scheduler-fixture.ts";
import { deletePrefix, test } from "../../support/redis.ts";

const ttlMs = 60_000;

describe("the lease", () => {
  test("has one holder, which renews it, and a greater token for each term", async ({ redis, prefix }) => {
    const kp = keyPrefix(prefix);
    const a = new LeaderLease(redis, kp, { holder: "a", ttlMs, yields: false });
    const b = new LeaderLease(redis, kp, { holder: "b", ttlMs, yields: false });
    const first = await a.take(undefined);
    if (first.kind !== "taken") throw new Error(`expected the lease, found ${first.kind}`);
    expect(await a.take(first.token)).toEqual({ kind: "held", token: first.token });
    expect(await b.take(undefined)).toEqual({ kind: "other" });
    expect(await loadLeader(redis, kp)).toMatchObject({ holder: "a", token: first.token });
    // A stranger's token releases nothing.
    await b.release(first.token - 1);
    expect(await b.take(undefined)).toEqual({ kind: "other" });
    await a.release(first.token);
    const second = await b.take(undefined);
    expect(second.kind === "taken" && second.token > first.token).toBe(true);
    // The old holder's token renews nothing.
    expect(await a.take(first.token)).toEqual({ kind: "other" });
    await deletePrefix(redis, prefix);
    const third = await a.take(undefined);
    expect(third.kind === "taken" && second.kind === "taken" && third.token >= second.token).toBe(true);
    await deletePrefix(redis, prefix);
  });

  test("goes from one that yields to one that does not, and not back", async ({ redis, prefix }) => {
    const kp = keyPrefix(prefix);
    const ofRun = new LeaderLease(redis, kp, { holder: "run", ttlMs, yields: true });
    const stays = new LeaderLease(redis, kp, { holder: "up", ttlMs, yields: false });
    const other = new LeaderLease(redis, kp, { holder: "other-run", ttlMs, yields: true });
    const first = await ofRun.take(undefined);
    expect(await other.take(undefined)).toEqual({ kind: "other" });
    expect((await stays.take(undefined)).kind).toBe("taken");
    expect(await ofRun.take(first.kind === "taken" ? first.token : 0)).toEqual({ kind: "other" });
    await deletePrefix(redis, prefix);
  });
});

describe("a scheduler that Redis does not let lead", () => {
  test("says why, once that has lasted as long as a lease, and no more when it may", async ({
    redisUrl,
    redis,
    prefix,
  }) => {
    const user = `nolead-${prefix}`;
    const rights = ["on", "nopass", "~*", "&*", "+@all"];
    await redis.acl("SETUSER", user, ...rights, "-time");
    const refused = openRedis(redisUrl, "command", quietLogger);
    await refused.auth(user, "any");
    const clock = new SettableClock(new Date().toISOString());
    const metrics = new Metrics({ version: "0", process: "scheduler" }, quietLogger);
    const config = { kp: keyPrefix(prefix), schedulerId: "s", yields: false };
    const leadership = new Leadership({ redis: refused, clock, logger: quietLogger, metrics }, config, () => undefined);
    try {
      await leadership.start();
      const later = () => {
        clock.set(new Date(clock.nowMs() + 3_000).toISOString());
        return leadership.fault;
      };
      expect(leadership.fault).toBeUndefined();
      await expect.poll(later, { timeout: 20_000 }).toMatch(/can.t run this command|no permissions/);
      await redis.acl("SETUSER", user, "+time");
      await expect.poll(() => leadership.fault, { timeout: 20_000 }).toBeUndefined();
    } finally {
      await leadership.stop();
      await closeRedis(refused);
      await redis.acl("DELUSER", user);
      await deletePrefix(redis, prefix);
    }
  });
});

describe("a term", () => {
  test("writes over a connection that the next term closes", async ({ redis, prefix }) => {
    const kp = keyPrefix(prefix);
    const deps = { redis, clock: systemClock, kp };
    const inOneMinute = () => systemClock.monotonicMs() + ttlMs;
    await redis.hset(keys.leader(kp), "token", "1000");
    const old = await openTerm(deps, 1_000, inOneMinute());
    await old.redis.set(`${kp}:written`, "old");
    await redis.hset(keys.leader(kp), "token", "1001");
    const next = await openTerm(deps, 1_001, inOneMinute());
    await expect(old.redis.set(`${kp}:written`, "late")).rejects.toThrow();
    await expect.poll(() => old.over.aborted).toBe(true);
    expect(() => {
      old.require();
    }).toThrow(LeadershipLostError);
    expect([await redis.get(`${kp}:written`), next.holds]).toEqual(["old", true]);
    await next.close();
    await deletePrefix(redis, prefix);
  });

  test("does not begin when another has the lease by then", async ({ redis, prefix }) => {
    const kp = keyPrefix(prefix);
    await redis.hset(keys.leader(kp), "token", "1001");
    const opening = openTerm({ redis, clock: systemClock, kp }, 1_000, systemClock.monotonicMs() + ttlMs);
    await expect(opening).rejects.toThrow("expected the lease to be of term 1000, found 1001");
    await deletePrefix(redis, prefix);
  });

  test("is over for a process whose own clock says so", async ({ redis, prefix }) => {
    const kp = keyPrefix(prefix);
    await redis.hset(keys.leader(kp), "token", "7");
    let nowMs = 0;
    const term = await openTerm({ redis, clock: { ...systemClock, monotonicMs: () => nowMs }, kp }, 7, 6_000);
    nowMs = 5_999;
    expect(term.holds).toBe(true);
    nowMs = 6_000;
    expect(() => {
      term.require();
    }).toThrow(LeadershipLostError);
    term.end();
    await deletePrefix(redis, prefix);
  });
});
