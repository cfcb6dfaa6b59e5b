import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { ALL_WORKERS } from "../../../src/contract/limits.ts";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { keyPrefix, keys } from "../../../src/contract/queues.ts";
import { parseLimits } from "../../../src/contract/limits.ts";
import { GiB } from "../../../src/contract/resources.ts";
import { loadAllLimits, resetLimits, setLimits } from "../../../src/platform/limits.ts";
import { loadRuleSettings, resetRuleSettings, setRuleSettings } from "../../../src/platform/rule-settings.ts";
import { checkGovernorConfig, type GovernorConfig } from "../../../src/worker/governor/governor-config.ts";
import { loadPlugins } from "../../../src/worker/governor/plugins.ts";
import { LiveLimits } from "../../../src/worker/live-limits.ts";
import { idleView, jobOf } from "../../support/admission-views.ts";
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
    hold: (change: { isPaused?: boolean }) => (isPaused = change.isPaused === true),
  };
  const worker = { workerId: "node-1-worker", host: "node-1" };
  const limits = new LiveLimits({ ...deps, governor, settings, worker, rules: new Map(), onChange: () => undefined });
  onTestFinished(() => limits.stop());
  await limits.start();
  expect(configured).toEqual([]);

  await setLimits(deps, ALL_WORKERS, { max_processes: 8, paused: true });
  await setLimits(deps, "node-1", { memory_threshold_percent: 70 });
  await setLimits(deps, "node-1-worker", { max_processes: 1 });
  await setLimits(deps, "node-2", { cpu_threshold_percent: 10 });
  await setLimits(deps, ALL_WORKERS, parseLimits({ memory_max: "1GiB", disk_free: "2GiB", disk_free_inodes: 5 }));
  await setLimits(deps, "node-1", { io_pressure_percent: 40, max_temperature: 80, max_watts: 300 });
  await limits.refresh();
  expect(configured.at(-1)).toMatchObject({ maxProcesses: 1, memoryThreshold: 0.7, memoryMaxBytes: GiB });
  expect(configured.at(-1)?.machine).toEqual({
    ...{ diskFreeBytes: 2 * GiB, diskFreeInodes: 5, ioPressure: 0.4, maxCelsius: 80, maxWatts: 300 },
  });
  expect(configured.at(-1)).not.toHaveProperty("cpuThreshold");
  expect(isPaused).toBe(true);

  await resetLimits(deps, undefined);
  await limits.refresh();
  expect(configured.at(-1)).toEqual({ ...settings, labels: [], machine: {} });
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

test("settings of a rule count over the configured ones, and those that it refuses leave it as it is", async ({
  redis,
  prefix,
}) => {
  const deps = { redis, kp: keyPrefix(prefix), logger: quietLogger };
  const module = join(import.meta.dirname, "../../../examples/plugins/licence-tokens.mjs");
  const entry = { module, settings: { profile: "solver", tokens: 1 } };
  const { rules, tunable } = await loadPlugins({ probes: [], rules: [entry] });
  let changes = 0;
  const governor = { configure: () => undefined, hold: () => undefined };
  const known = { settings, worker: { workerId: "w", host: "h" }, rules: tunable, onChange: () => (changes += 1) };
  const limits = new LiveLimits({ ...deps, governor, ...known });
  onTestFinished(() => limits.stop());
  await limits.start();
  const running = { queue: "exec.solver@14", need: { memoryBytes: 1, cpuCores: 1, processes: 1 } };
  const taken = () => {
    const answer = rules[0]?.({ ...jobOf(1), queue: "exec.solver@14" }, { ...idleView, running: [running] });
    return answer?.message;
  };
  expect(taken()).toBe("all 1 licences of solver are taken");
  const set = async (tokens: unknown) => {
    await setRuleSettings(redis, deps.kp, "licence-tokens", { tokens });
    await limits.refresh();
  };
  await set(2);
  expect(taken()).toBeUndefined();
  await set(-3);
  expect(taken()).toBeUndefined();
  await set(0);
  expect(taken()).toBe("all 0 licences of solver are taken");
  expect(await resetRuleSettings(redis, deps.kp, undefined)).toBe(1);
  await limits.refresh();
  expect(taken()).toBe("all 1 licences of solver are taken");
  expect(changes).toBeGreaterThan(4);
  await redis.hset(keys.rules(deps.kp), "licence-tokens", "[");
  expect([...(await loadRuleSettings(deps))]).toEqual([]);
  await redis.del(keys.rules(deps.kp));
});
