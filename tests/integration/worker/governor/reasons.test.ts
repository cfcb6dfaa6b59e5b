/**
 * Law 7 at the worker: in each staged situation the first reason that is told is the true one. The job would start before
 * the cause is there, waits for that and nothing else while it is, and starts once it is gone.
 */
import { describe, expect, test } from "vitest";
import type { DeferCode } from "../../../../src/contract/defer-codes.ts";
import { cores } from "../../../support/situations/cores.ts";
import { machine } from "../../../support/situations/machine.ts";
import { memory } from "../../../support/situations/memory.ts";
import type { Situation } from "../../../support/situations/situation.ts";
import { worker } from "../../../support/situations/worker.ts";
import { StagedWorker } from "../../../support/staged-worker.ts";

const situations: readonly Situation[] = [...memory, ...cores, ...machine, ...worker];
type Code = Exclude<DeferCode, `RULE_${string}`> | "RULE_" | "UNSCHEDULABLE";
/** The compiler asks for a code that is missing here, and the last test for a situation with it. */
const everyCode = Object.keys({
  ...{
    MEM_NOW: 1,
    MEM_THRESHOLD: 1,
    MEM_FORECAST: 1,
    CALIBRATING: 1,
    NEIGHBOUR: 1,
    HOLDING: 1,
    CPU: 1,
    PROCESSES: 1,
    CLASS_LIMIT: 1,
  },
  ...{
    CPU_THRESHOLD: 1,
    PSI_MEM: 1,
    PSI_IO: 1,
    COOLDOWN: 1,
    SUSPENDED: 1,
    DISK_SPACE: 1,
    DISK_INODES: 1,
    PIDS: 1,
    FILES: 1,
    HOT: 1,
  },
  ...{ POWER: 1, GPU: 1, GPU_MEM: 1, RULE_: 1, LABELS: 1, ALONE: 1, PAUSED: 1, DRAINING: 1, UNSCHEDULABLE: 1 },
} satisfies Record<Code, 1>);
const lasting = situations.filter(({ isLasting }) => isLasting);

async function open({ options, prepare }: Situation, maxProcesses?: number): Promise<StagedWorker> {
  const { config, ...more } = options?.() ?? {};
  const limited = maxProcesses === undefined ? config : { ...config, maxProcesses };
  const stage = new StagedWorker({ ...more, ...(limited && { config: limited }) });
  prepare?.(stage);
  return stage.start();
}

/** By then the gates have seen the cause alone, not what was before it. */
const SETTLED_MS = 1_500;

/** What the worker tells of the queue once the cause is there. */
async function expectTold(stage: StagedWorker, { code, words, until, isPassing }: Situation): Promise<void> {
  await stage.until(code);
  if (!isPassing) await stage.pass(SETTLED_MS);
  expect(stage.asks()).toMatchObject({ code, message: expect.stringMatching(words) as unknown });
  const told = stage.told();
  expect(told).toMatchObject({ code, message: expect.stringMatching(words) as unknown });
  expect(told?.sinceMs).toBeLessThanOrEqual(Date.now());
  if (until === undefined) expect(told?.etaMs).toBeNull();
  else expect(told?.etaMs).toBeGreaterThan(0);
  if (until !== undefined) expect(told?.etaMs).toBeLessThanOrEqual(until === "soon" ? 3_000 : 60_000);
}

describe("the first reason that a worker tells is the true one", () => {
  test.each(situations)("$code: $name", async (situation) => {
    await using stage = await open(situation);
    await stage.until("admit");
    const beforeMs = Date.now();
    await situation.cause(stage);
    await expectTold(stage, situation);
    expect(stage.told()?.sinceMs).toBeGreaterThanOrEqual(beforeMs);
    await situation.undo(stage);
    await stage.until("admit");
    expect(stage.told()).toBeUndefined();
  });
});

describe("what no end of a job changes is told before what our own jobs hold", () => {
  test.each(lasting)("$code: $name", async (situation) => {
    await using stage = await open(situation, 1);
    stage.begin("own", stage.ask(50, { queue: "exec.small@12" }));
    await situation.cause(stage);
    await stage.until(situation.code);
    await stage.pass(SETTLED_MS);
    expect(stage.asks()?.code).toBe(situation.code);
    stage.end("own");
    await stage.pass(SETTLED_MS);
    expect(stage.asks()?.code).toBe(situation.code);
    await situation.undo(stage);
    await stage.until("admit");
  });
});

test("there are at least fifty, with each code that a worker may give", () => {
  const codes = new Set(situations.map(({ code }) => code.replace(/^RULE_.*/, "RULE_")));
  expect(situations.length).toBeGreaterThanOrEqual(50);
  expect([...codes].toSorted()).toEqual([...everyCode].toSorted());
});
