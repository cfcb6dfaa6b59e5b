import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { MiB } from "../../../../src/contract/resources.ts";
import { systemClock } from "../../../../src/platform/clock.ts";
import { CapacitySensor, createProbes } from "../../../../src/worker/governor/capacity.ts";
import { Governor } from "../../../../src/worker/governor/governor.ts";
import type { GovernorTicket } from "../../../../src/worker/governor/governor-port.ts";
import { MachineLedger, type SharedLedger } from "../../../../src/worker/governor/machine-ledger.ts";
import { ProcessTrees } from "../../../../src/worker/governor/probes/process-trees.ts";
import { CARD, FakeGpuMachine } from "../../../support/fake-gpu.ts";
import { FakeMachine } from "../../../support/fake-machine.ts";
import { quietLogger } from "../../../support/quiet-logger.ts";
import { Scratch } from "../../../support/scratch.ts";

const question = {
  queue: "exec.default@14",
  labels: ["gpu"],
  need: { memoryBytes: 64 * MiB, cpuCores: 0.1, processes: 1 },
};
const promise = { growthBytes: 0, cpuCores: 0, processes: 1, isEnding: false, starvedMs: 0 };

/** Workers of one machine that has so many cards. */
class CardMachine {
  readonly #gpus = new FakeGpuMachine();
  readonly #scratch = new Scratch();
  readonly #machine = new FakeMachine(["0::/app"]);
  readonly #folder = join(this.#scratch.path, "ledger");

  constructor(cards: number) {
    this.#machine.v2("app", { max: String(1_024 * MiB) });
    writeFileSync(this.#gpus.driver, "");
    this.#gpus.write(
      "cards",
      Array.from({ length: cards }, (_none, index) => `${index}, ${CARD(index)}, Big Card, 81920, 100, 0, 40, 70.5`),
    );
    onTestFinished(() => {
      this.#machine[Symbol.dispose]();
      this.#scratch[Symbol.dispose]();
    });
  }

  ledger(workerId: string): MachineLedger {
    const ledger = new MachineLedger(this.#folder, workerId, quietLogger);
    onTestFinished(() => {
      ledger.close();
    });
    return ledger;
  }

  /** A worker that sees its cards. */
  async worker(shared: SharedLedger): Promise<Governor> {
    const { roots } = this.#machine;
    const governor = new Governor(
      {
        ...{ clock: systemClock, logger: quietLogger, shared },
        sensor: new CapacitySensor(createProbes(roots, { gpu: this.#gpus.open() })),
        processes: new ProcessTrees(roots),
        metrics: { decided: () => undefined, stepped: () => undefined },
        act: () => undefined,
      },
      { labels: ["gpu"], maxProcesses: 100 },
    );
    await governor.start();
    onTestFinished(() => governor.stop());
    await expect
      .poll(() => governor.check(question), { timeout: 10_000 })
      .not.toMatchObject({ message: /none can be/ });
    return governor;
  }
}

function begin(governor: Governor, jobId: string): GovernorTicket {
  const answer = governor.tryReserve(question);
  if (answer.kind !== "admit") throw new Error(`expected ${jobId} to be admitted, found ${answer.message}`);
  answer.bind(jobId, "run-1");
  return answer;
}

test("two workers of one machine give its only card to one job at a time", async () => {
  const machine = new CardMachine(1);
  const one = await machine.worker(machine.ledger("one"));
  const two = await machine.worker(machine.ledger("two"));
  const ticket = begin(one, "job-1");
  expect(one.gpus.cardOf("job-1")).toBe(CARD(0));
  expect(two.tryReserve(question)).toMatchObject({ code: "GPU", message: "needs a GPU, all 1 are taken by jobs" });
  ticket.release();
  begin(two, "job-2");
  expect(two.gpus.cardOf("job-2")).toBe(CARD(0));
  expect(one.tryReserve(question)).toMatchObject({ code: "GPU" });
});

test("two workers of one machine give two jobs a card each, and no third", async () => {
  const machine = new CardMachine(2);
  const one = await machine.worker(machine.ledger("one"));
  const two = await machine.worker(machine.ledger("two"));
  begin(one, "job-1");
  begin(two, "job-2");
  expect([one.gpus.cardOf("job-1"), two.gpus.cardOf("job-2")].toSorted()).toEqual([CARD(0), CARD(1)]);
  expect(one.tryReserve(question)).toMatchObject({ code: "GPU", message: "needs a GPU, all 2 are taken by jobs" });
});

test("a worker steps back from a card that another one has promised in the same moment", async () => {
  const machine = new CardMachine(2);
  const own = machine.ledger("own");
  const neighbour = machine.ledger("neighbour");
  let crossing: readonly string[] = [];
  const governor = await machine.worker({
    publish: (told, levels) => {
      own.publish(told, levels);
      neighbour.publish({ ...promise, cards: told.cards.length > 0 ? crossing : [] }, levels);
    },
    others: () => own.others(),
    close: () => undefined,
  });
  crossing = [CARD(0)];
  expect(governor.tryReserve(question)).toMatchObject({ code: "GPU" });
  expect(neighbour.others()).toMatchObject([{ cards: [] }]);
  crossing = [CARD(1)];
  begin(governor, "job-1");
  expect(governor.gpus.cardOf("job-1")).toBe(CARD(0));
});

test("a card that was promised and that no job was found for is free for the others at once", async () => {
  const machine = new CardMachine(1);
  const one = await machine.worker(machine.ledger("one"));
  const two = await machine.worker(machine.ledger("two"));
  const answer = one.tryReserve(question);
  if (answer.kind !== "admit") throw new Error(answer.message);
  answer.release();
  expect(two.tryReserve(question).kind).toBe("admit");
});
