import { expect, onTestFinished } from "vitest";
import { ALL_WORKERS } from "../../../src/contract/limits.ts";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { keyPrefix, keys } from "../../../src/contract/queues.ts";
import { parseLimits } from "../../../src/contract/limits.ts";
import { loadAllLimits, resetLimits, setLimits } from "../../../src/platform/limits.ts";
import { checkGovernorConfig, type GovernorConfig } from "../../../src/worker/governor/governor-config.ts";
import { LiveLimits } from "../../../src/worker/live-limits.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { test } from "../../support/redis.ts";

const settings = { maxProcesses: 2, memoryThreshold: 0.9 };

test("limits of one worker count over those of its host, those over all, and go when they are reset", async ({
  redis,
  prefix,
}) => {
  const deps = { redis, kp: keyPrefix(prefix), logger: quietLogger };
  const configured: Omit<GovernorConfig, "labels">[] = [];
  let isPaused = false;
  const governor = {
    configure: (config: Omit<GovernorConfig, "labels">) => {
      configured.push(checkGovernorConfig({ ...config, labels: [] }));
    },
    setPaused: (paused: boolean) => (isPaused = paused),
  };
  const worker = { workerId: "node-1-worker", host: "node-1" };
  const limits = new LiveLimits({ ...deps, governor, settings, worker });
  onTestFinished(() => limits.stop());
  await limits.start();
  expect(configured).toEqual([]);

  await setLimits(deps, ALL_WORKERS, { max_processes: 8, paused: true });
  await setLimits(deps, "node-1", { memory_threshold_percent: 70 });
  await setLimits(deps, "node-1-worker", { max_processes: 1 });
  await setLimits(deps, "node-2", { cpu_threshold_percent: 10 });
  await limits.refresh();
  expect(configured.at(-1)).toMatchObject({ maxProcesses: 1, memoryThreshold: 0.7 });
  expect(configured.at(-1)).not.toHaveProperty("cpuThreshold");
  expect(isPaused).toBe(true);

  await resetLimits(deps, undefined);
  await limits.refresh();
  expect(configured.at(-1)).toMatchObject(settings);
  expect(isPaused).toBe(false);
});

test("an entry that cannot be read is left out, and the limits that count stay", async ({ redis, prefix }) => {
  const deps = { redis, kp: keyPrefix(prefix), logger: quietLogger };
  await redis.hset(keys.limits(deps.kp), { broken: "{", wrong: '{"max_processes":-1}', "*": '{"max_processes":3}' });
  expect([...(await loadAllLimits(deps))]).toEqual([["*", { max_processes: 3 }]]);
  await redis.del(keys.limits(deps.kp));
});

test("a limit that is none says which there are, and what was expected", () => {
  const faults = (input: unknown) => {
    try {
      parseLimits(input);
    } catch (error) {
      if (error instanceof InvalidInputError) return error.message;
    }
    return "no error";
  };
  expect(faults({ max_proceses: 4 })).toContain("max_processes");
  expect(faults({ memory_threshold_percent: 120, max_processes: "many" })).toMatch(
    /memory_threshold_percent.*max_processes|max_processes.*memory_threshold_percent/s,
  );
});
