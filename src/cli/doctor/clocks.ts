/** Whether the clocks of a cluster agree: each worker's and this machine's against that of Redis. */
import type { Redis } from "ioredis";
import { keys } from "../../contract/queues.ts";
import { HEARTBEAT_KEPT_MS } from "../../contract/status.ts";
import { loadHeartbeats } from "../../platform/worker-heartbeats.ts";
import type { Finding } from "./finding.ts";

/** Heartbeats are sent each second and take a moment to come. */
const WRONG_MS = 3_000;

/** A heartbeat says when it was sent by its worker's clock; what is left of its time to live says so by that of Redis. */
export async function checkClocks(redis: Redis, kp: string): Promise<Finding> {
  const workers = await loadHeartbeats(redis, kp);
  const skews = await Promise.all(
    workers.map(async ({ workerId, atMs }) => {
      const [left, nowMs] = await Promise.all([redis.pttl(keys.worker(kp, workerId)), timeOf(redis)]);
      return { who: `worker ${workerId}`, ms: left < 0 ? 0 : atMs - (nowMs - (HEARTBEAT_KEPT_MS - left)) };
    }),
  );
  const all = [...skews, { who: "this machine", ms: Date.now() - (await timeOf(redis)) }];
  const wrong = all.filter(({ ms }) => Math.abs(ms) > WRONG_MS);
  if (wrong.length === 0) {
    return { check: "clocks", status: "ok", found: `${all.length} within ${WRONG_MS / 1_000} s of redis`, fix: null };
  }
  const found = wrong.map(
    ({ who, ms }) => `${who} is ${Math.round(Math.abs(ms) / 1_000)} s ${ms < 0 ? "behind" : "ahead"}`,
  );
  const fix = "have the clocks set by NTP, then restart what runs there";
  return { check: "clocks", status: "fail", found: found.join(", "), fix };
}

async function timeOf(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}
