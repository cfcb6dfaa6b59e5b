/** The memory of cards: seen of each job's own processes, kept to in what is promised, and never promised twice. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import type { Expectation } from "../../../../src/contract/expectation.ts";
import { profileSchema } from "../../../../src/contract/profiles.ts";
import { GiB, MiB } from "../../../../src/contract/resources.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { expectationOf } from "../../../../src/platform/learned/expectation-of.ts";
import { CapacitySensor, createProbes } from "../../../../src/worker/governor/capacity.ts";
import { Governor } from "../../../../src/worker/governor/governor.ts";
import type { GovernorTicket } from "../../../../src/worker/governor/governor-port.ts";
import type { GpuProbe } from "../../../../src/worker/governor/probes/gpu.ts";
import { systemRoots } from "../../../../src/worker/governor/probes/probe.ts";
import { ProcessTrees } from "../../../../src/worker/governor/probes/process-trees.ts";
import { CARD, FakeGpuMachine } from "../../../support/fake-gpu.ts";
import { FakeMachine } from "../../../support/fake-machine.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { randomOf } from "../../../support/random-jobs.ts";

const QUEUE = "exec.gpu@14";
const CARD_MIB = 8_192;
const need = { memoryBytes: 64 * MiB, cpuCores: 0.1, processes: 1 };

/** A worker on a machine with cards of 8 GiB, whose driver tells what a test says. */
class CardWorker {
  readonly #machine = new FakeGpuMachine();
  readonly probe: GpuProbe;
  readonly governor: Governor;

  constructor(usedMiB: readonly number[]) {
    const host = new FakeMachine(["0::/app"]);
    host.v2("app", { max: String(1_024 * MiB) });
    writeFileSync(this.#machine.driver, "");
    this.tell(usedMiB);
    this.probe = this.#machine.open();
    this.governor = new Governor(
      {
        ...{ clock: systemClock, logger: quietLogger },
        sensor: new CapacitySensor(createProbes(host.roots, { gpu: this.probe })),
        processes: new ProcessTrees(systemRoots),
        metrics: { decided: () => undefined, stepped: () => undefined },
        act: () => undefined,
      },
      { labels: ["gpu"], maxProcesses: 100 },
    );
    onTestFinished(async () => {
      await this.governor.stop();
      host[Symbol.dispose]();
    });
  }

  /** What is in use of each card, and by which process. */
  tell(
    usedMiB: readonly number[],
    apps: readonly (readonly [card: number, pid: number, usedMiB: number])[] = [],
  ): void {
    this.#machine.write(
      "apps",
      apps.map(([card, pid, used]) => `${CARD(card)}, ${pid}, ${used}`),
    );
    this.#machine.write(
      "cards",
      usedMiB.map((used, index) => `${index}, ${CARD(index)}, Card, ${CARD_MIB}, ${used}, 0, 40, 70.5`),
    );
  }

  /** From now on the first card tells nothing of its memory, as one that is shared in parts does. */
  tellMemoryless(): void {
    this.#machine.write("cards", [`0, ${CARD(0)}, Card, [N/A], [N/A], 0, 40, 70.5`]);
  }

  /** Waits until the governor tells that this is in use of the first card. */
  async saw(usedMiB: number): Promise<void> {
    await expect
      .poll(() => (this.governor.tick(), this.governor.snapshot().devices[0]?.usedBytes), { timeout: 10_000 })
      .toBe(usedMiB * MiB);
  }

  ask(expectation?: Expectation, kind = "gpu:a") {
    const expected = expectation && { expectation, lastsMs: undefined, kind };
    return this.governor.tryReserve({ queue: QUEUE, labels: ["gpu"], need, ...(expected && { expected }) });
  }

  begin(jobId: string, expectation?: Expectation): GovernorTicket {
    const answer = this.ask(expectation);
    if (answer.kind !== "admit") throw new Error(`expected ${jobId} to be admitted, found ${answer.message}`);
    answer.bind(jobId, "run-1");
    this.governor.describe(jobId, { kind: "gpu:a", ...(expectation && { expectation }) });
    return answer;
  }

  peakOf(jobId: string): number {
    this.governor.tick();
    return (this.governor.gpus.peakOf(jobId) ?? 0) / MiB;
  }
}

async function started(usedMiB: readonly number[] = [100]): Promise<CardWorker> {
  const worker = new CardWorker(usedMiB);
  await worker.governor.start();
  await worker.saw(usedMiB[0] ?? 0);
  return worker;
}

/** A process with a child; both numbers. */
async function startFamily(): Promise<readonly [number, number]> {
  const child = spawn("perl", ["-e", "$| = 1; if (my $p = fork) { print qq($p\\n) } sleep 600"], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => {
    process.kill(-(child.pid ?? 0), "SIGKILL");
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return [child.pid ?? 0, Number(String(line).trim())];
}

const profile = profileSchema.parse({ labels: ["gpu"] });
const learned = (p95MiB: number): Expectation => ({
  ...expectationOf({ profile, learned: undefined, inputBytes: 0 }),
  gpuMemoryBytes: { basis: "learned", p50: p95MiB * MiB, p95: p95MiB * MiB },
});

test("the memory that a job's processes hold of a card is its own, that of others is not", async () => {
  const worker = await started();
  worker.begin("job-1", learned(1_000));
  const [parent, child] = await startFamily();
  worker.governor.attach("job-1", parent);
  worker.tell([3_100], [[0, parent, 500], [0, child, 1_500], [0, 4_711, 1_000]]); // prettier-ignore
  await expect.poll(() => worker.peakOf("job-1"), { timeout: 10_000 }).toBe(2_000);
  worker.tell([1_700], [[0, child, 600], [0, 4_711, 1_000]]); // prettier-ignore
  const gpuNow = () => (worker.peakOf("job-1"), worker.governor.snapshot().running[0]?.gpu);
  const now = { reservedBytes: 1_000 * MiB, usedBytes: 600 * MiB, expectedBytes: 1_000 * MiB };
  await expect.poll(gpuNow, { timeout: 10_000 }).toEqual(now);
  expect(worker.peakOf("job-1")).toBe(2_000);
  const [other] = await startFamily();
  worker.governor.attach("job-1", other);
  expect(worker.peakOf("job-1")).toBe(0);
});

test("where the driver lists no process, a job has what its card holds more than before it", async () => {
  const worker = await started([300]);
  worker.begin("job-1");
  worker.tell([2_300]);
  await expect.poll(() => worker.peakOf("job-1"), { timeout: 10_000 }).toBe(2_000);
});

test("where the driver lists no process, what the job before has left is not counted as there before", async () => {
  const worker = await started([300]);
  const first = worker.begin("job-1");
  worker.tell([2_300]);
  await expect.poll(() => worker.peakOf("job-1"), { timeout: 10_000 }).toBe(2_000);
  worker.governor.attach("job-1", (await startFamily())[0]);
  worker.tell([2_400]);
  await expect.poll(() => worker.peakOf("job-1"), { timeout: 10_000 }).toBe(2_100);
  first.release();
  worker.begin("job-2");
  worker.tell([1_800]);
  await expect.poll(() => worker.peakOf("job-2"), { timeout: 10_000 }).toBe(1_500);
});

test("a job is given a card only where what it was seen to take is free, and the first one for little", async () => {
  const worker = await started([5_000]);
  expect(worker.ask(learned(4_000))).toMatchObject({ code: "GPU_MEM", need: 4_000 * MiB, have: 3_192 * MiB });
  const declared = profileSchema.parse({ labels: ["gpu"], gpuMemoryBytes: 9 * GiB });
  expect(worker.ask(expectationOf({ profile: declared, learned: undefined, inputBytes: 0 }))).toMatchObject({
    code: "GPU_MEM",
    message: "needs 9216 MiB of GPU memory, the largest card has 8192 MiB",
  });
  const room = worker.governor.snapshot().devices[0];
  expect(room).toMatchObject({ name: "gpu 0", reservedBytes: 0 });
  worker.begin("job-1", learned(3_000));
  expect(worker.governor.snapshot().devices[0]?.reservedBytes).toBe(3_000 * MiB);
});

test("what a job that has ended held is free at once, before the driver tells so; an engine's is so for its like", async () => {
  const worker = await started();
  const [pid] = await startFamily();
  const first = worker.begin("job-1", learned(6_000));
  worker.governor.attach("job-1", pid);
  worker.tell([6_100], [[0, pid, 6_000]]);
  await expect.poll(() => worker.peakOf("job-1"), { timeout: 10_000 }).toBe(6_000);
  first.release();
  const second = worker.begin("job-2", learned(6_000));
  // An engine is measured by others, and stays when its job has ended.
  worker.governor.usage("job-2", { rssBytes: MiB, cpuMs: 1, atMs: systemClock.monotonicMs(), pid });
  worker.tell([6_200], [[0, pid, 6_000]]);
  await worker.saw(6_200);
  expect(worker.peakOf("job-2")).toBe(6_000);
  second.release();
  expect(worker.ask(learned(6_000), "gpu:b")).toMatchObject({ code: "GPU_MEM" });
  expect(worker.begin("job-3", learned(6_000)).kind).toBe("admit");
});

/** Jobs on three cards, each of which takes what it was expected to. */
class Coming {
  readonly running = new Map<string, { ticket: GovernorTicket; card: string; usedMiB: number }>();
  readonly #worker: CardWorker;
  readonly #random = randomOf(7);
  begun = 0;
  waited = 0;

  constructor(worker: CardWorker) {
    this.#worker = worker;
  }

  /** One more comes, where it may; one goes, now and then. */
  turn(): void {
    const usedMiB = 500 + Math.floor(this.#random.uniform() * 7_000);
    const answer = this.#worker.ask(learned(usedMiB));
    if (answer.kind === "admit") {
      this.begun += 1;
      const jobId = `job-${this.begun}`;
      answer.bind(jobId, "run-1");
      this.running.set(jobId, { ticket: answer, card: this.#worker.governor.gpus.cardOf(jobId) ?? "", usedMiB });
    } else this.waited += 1;
    if (this.#random.uniform() < 0.5 || answer.kind !== "admit") this.#endOne();
    this.#worker.tell(this.usedMiB);
  }

  /** By card; 100 MiB are others'. */
  get usedMiB(): readonly number[] {
    const jobs = [...this.running.values()];
    return [0, 1, 2].map((index) =>
      jobs.reduce((sum, { card, usedMiB }) => sum + (card === CARD(index) ? usedMiB : 0), 100),
    );
  }

  #endOne(): void {
    const [jobId, ended] = [...this.running][Math.floor(this.#random.uniform() * this.running.size)] ?? [];
    if (jobId !== undefined) this.running.delete(jobId);
    ended?.ticket.release();
  }
}

test("of jobs that come and go no card is promised twice or beyond what it has, while the samplers die", async () => {
  const worker = await started([100, 100, 100]);
  const coming = new Coming(worker);
  for (let turn = 0; turn < 600; turn += 1) {
    coming.turn();
    if (turn % 100 === 50) for (const pid of worker.probe.samplerPids) process.kill(pid, "SIGKILL");
    if (turn % 20 === 0) await worker.saw(coming.usedMiB[0] ?? 0);
    worker.governor.tick();
    const cards = [...coming.running.values()].map(({ card }) => card);
    expect(new Set(cards).size).toBe(cards.length);
    expect(Math.max(...coming.usedMiB)).toBeLessThanOrEqual(CARD_MIB);
    const rooms = worker.governor.snapshot().devices.filter(({ name }) => name.startsWith("gpu"));
    expect(rooms).toHaveLength(3);
    expect(rooms.filter(({ totalBytes, reservedBytes = 0 }) => reservedBytes > totalBytes)).toEqual([]);
  }
  expect([coming.begun > 200, coming.waited > 20]).toEqual([true, true]);
});

test("a queue whose jobs all need more than any card that was seen is refused for good, others wait", async () => {
  const worker = await started([100, 300]);
  const ask = (gpuMemoryBytes: number) =>
    worker.governor.tryReserve({ queue: `exec.gpu-${gpuMemoryBytes}@14`, labels: ["gpu"], need, gpuMemoryBytes });
  const size = CARD_MIB * MiB;
  expect(ask(size + 1)).toMatchObject({ kind: "reject", code: "UNSCHEDULABLE", need: size + 1, have: size });
  expect(worker.governor.snapshot()).toMatchObject({
    largestCardBytes: size,
    waiting: [{ code: "UNSCHEDULABLE", etaMs: null, message: expect.stringContaining("largest card") as string }],
  });
  const ticket = ask(CARD_MIB * MiB);
  expect(ticket.kind).toBe("admit");
});

test("of a card that does not tell its memory nobody says that a job is too large for it", async () => {
  const worker = await started();
  worker.tellMemoryless();
  await expect
    .poll(() => (worker.governor.tick(), worker.governor.snapshot().largestCardBytes), { timeout: 10_000 })
    .toBeNull();
  const answer = worker.governor.tryReserve({
    ...{ queue: QUEUE, labels: ["gpu"], need, gpuMemoryBytes: 2 * CARD_MIB * MiB },
  });
  expect(answer.kind).toBe("admit");
});
