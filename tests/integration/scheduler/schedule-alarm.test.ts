/** BullMQ's job schedulers as the leader's alarm clock, in a real Redis. */
import { Queue } from "bullmq";
import { expect } from "vitest";
import { keyPrefix } from "../../../src/contract/queues.ts";
import { parseSchedule, type ScheduleRecord } from "../../../src/contract/schedules.ts";
import { ScheduleAlarm } from "../../../src/scheduler/schedule-alarm.ts";
import { deletePrefix, test } from "../../support/redis.ts";

function schedule(name: string, every: string): ScheduleRecord {
  const run = { command: ["/bin/true", "{input}"], input: "/in", output: { root: "/out", from: "none" } };
  const spec = parseSchedule({ every, run });
  const times = { createdAtMs: 0, updatedAtMs: 0, settledMs: 0 };
  return { name, spec, source: "api", isPaused: false, revision: 0, ...times };
}

test("rings at the times of the schedules that are set, and of no others", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const rings: number[] = [];
  const alarm = new ScheduleAlarm({ redis, kp, onAlarm: () => rings.push(Date.now()) });
  const queue = new Queue("schedule", { connection: redis, prefix: kp, skipVersionCheck: true });
  const names = async () => (await queue.getJobSchedulers()).map(({ key }) => key).toSorted();
  try {
    await alarm.set([schedule("a", "1s"), schedule("b", "1h")]);
    expect(await names()).toEqual(["a", "b"]);
    await expect.poll(() => rings.length, { timeout: 20_000 }).toBeGreaterThan(2);
    await alarm.set([schedule("b", "2h")]);
    expect(await names()).toEqual(["b"]);
    const [b] = await queue.getJobSchedulers();
    expect(b?.next).toBe(Math.ceil(Date.now() / 7_200_000) * 7_200_000);
  } finally {
    await alarm.close();
    await queue.close();
    await deletePrefix(redis, prefix);
  }
});

test("takes back what an earlier leader had set", async ({ redis, prefix }) => {
  const kp = keyPrefix(prefix);
  const onAlarm = () => undefined;
  const first = new ScheduleAlarm({ redis, kp, onAlarm });
  await first.set([schedule("old", "1h")]);
  await first.close();
  const second = new ScheduleAlarm({ redis, kp, onAlarm });
  await second.set([]);
  await second.close();
  expect(await redis.zcard(`${kp}:schedule:repeat`)).toBe(0);
  await deletePrefix(redis, prefix);
});
