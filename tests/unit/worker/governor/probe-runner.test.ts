import { describe, expect, test } from "vitest";
import type { BackgroundProbe, InlineProbe } from "../../../../src/worker/governor/probes/probe.ts";
import { ProbeRunner } from "../../../../src/worker/governor/probes/probe-runner.ts";

/** One turn of the event loop: answers that are there are read. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

class Inline implements InlineProbe<number> {
  readonly name = "inline";
  readonly mode = "inline";
  readonly periodMs = 100;
  readonly staleMs = 250;
  caveat: string | undefined;
  isThere = true;
  failure: Error | undefined;
  value = 1;
  reads = 0;

  open(): boolean {
    return this.isThere;
  }

  read(): number {
    this.reads += 1;
    if (this.failure !== undefined) throw this.failure;
    return this.value;
  }

  close(): void {
    this.isThere = false;
  }
}

class Background implements BackgroundProbe<number> {
  readonly name = "background";
  readonly mode = "background";
  readonly periodMs = 100;
  readonly staleMs = 60_000;
  readonly limitMs = 1_000;
  readonly answers: ((value: number) => void)[] = [];
  readonly signals: AbortSignal[] = [];

  open(): boolean {
    return true;
  }

  read(signal: AbortSignal): Promise<number> {
    this.signals.push(signal);
    return new Promise((resolve) => this.answers.push(resolve));
  }

  close(): void {
    this.answers.length = 0;
  }
}

describe("an inline probe", () => {
  test("is read when its period is over, and says whether that brought something new", () => {
    const probe = new Inline();
    const runner = new ProbeRunner(probe);
    expect([0, 50, 100, 199, 200].map((nowMs) => runner.poll(nowMs))).toEqual([true, false, true, false, true]);
    expect(probe.reads).toBe(3);
    expect(runner.status(200)).toMatchObject({ state: "reading", reason: undefined });
  });

  test("is absent where it finds nothing, and is looked for again", () => {
    const probe = new Inline();
    probe.isThere = false;
    const runner = new ProbeRunner(probe);
    expect(runner.poll(0)).toBe(false);
    expect(runner.status(0).state).toBe("absent");
    probe.isThere = true;
    runner.poll(4_000);
    expect(runner.latest(4_000)).toBeUndefined();
    runner.poll(5_000);
    expect(runner.latest(5_000)).toBe(1);
  });

  test("that throws is degraded with the reason, and is tried again after ever longer pauses", () => {
    const probe = new Inline();
    probe.failure = new Error("no such file");
    const runner = new ProbeRunner(probe);
    const tried: number[] = [];
    for (let nowMs = 0; nowMs <= 20_000; nowMs += 100) {
      const before = probe.reads;
      runner.poll(nowMs);
      if (probe.reads > before) tried.push(nowMs);
    }
    expect(tried).toEqual([0, 1_000, 3_000, 7_000, 12_000, 17_000]);
    expect(runner.status(20_000)).toMatchObject({ state: "degraded", reason: "no such file" });
    probe.failure = undefined;
    runner.poll(22_000);
    expect(runner.status(22_000)).toMatchObject({ state: "reading", reason: undefined });
  });

  test("has no reading once the last one is stale, and says so", () => {
    const runner = new ProbeRunner(new Inline());
    runner.poll(0);
    expect(runner.latest(250)).toBe(1);
    expect(runner.latest(251)).toBeUndefined();
    expect(runner.status(400).state).toBe("degraded");
    expect(runner.status(400).reason).toMatch(/the last one is 400 ms old/);
  });

  test("goes on after a clock that jumped, in either direction", () => {
    const probe = new Inline();
    const runner = new ProbeRunner(probe);
    runner.poll(10_000_000);
    runner.poll(5);
    expect(runner.latest(5)).toBe(1);
    runner.poll(9e12);
    expect(runner.latest(9e12)).toBe(1);
    expect(probe.reads).toBe(3);
  });

  test("tells a caveat though it reads", () => {
    const probe = new Inline();
    probe.caveat = "one of two is silent";
    const runner = new ProbeRunner(probe);
    runner.poll(0);
    expect(runner.status(0)).toMatchObject({ state: "reading", reason: "one of two is silent" });
  });
});

describe("a background probe", () => {
  test("never holds the caller, and tells its answer later", async () => {
    const probe = new Background();
    const runner = new ProbeRunner(probe);
    expect(runner.poll(0)).toBe(false);
    expect(runner.status(0).state).toBe("waiting");
    await turn();
    probe.answers[0]?.(7);
    await turn();
    expect(runner.poll(10)).toBe(true);
    expect(runner.latest(10)).toBe(7);
    expect(runner.poll(20)).toBe(false);
  });

  test("that hangs is degraded with the reason, told to give up, and asked again later and later", async () => {
    const probe = new Background();
    const runner = new ProbeRunner(probe);
    const asked: number[] = [];
    for (let nowMs = 0; nowMs <= 30_000; nowMs += 100) {
      const before = probe.signals.length;
      runner.poll(nowMs);
      await turn();
      if (probe.signals.length > before) asked.push(nowMs);
    }
    // Late after 1.1 s (at the turn after the limit), then pauses of 1, 2, 4, 8 s and the limit each time.
    expect(asked).toEqual([0, 2_100, 5_200, 10_300, 19_400]);
    expect(probe.signals[0]?.aborted).toBe(true);
    expect(runner.status(30_000)).toMatchObject({
      state: "degraded",
      reason: "expected an answer within 1000 ms, found none",
    });
    probe.answers.at(-1)?.(3);
    await turn();
    expect(runner.latest(30_100)).toBe(3);
    expect(runner.status(30_100)).toMatchObject({ state: "reading", reason: undefined });
  });

  test("is not blamed for a moment in which the whole process was held up", async () => {
    const probe = new Background();
    const runner = new ProbeRunner(probe);
    runner.poll(0);
    await turn();
    probe.answers[0]?.(7);
    runner.poll(60_000);
    await turn();
    runner.poll(60_001);
    expect(runner.status(60_001).reason ?? "").not.toMatch(/found none/);
  });

  test("an answer after the end is nobody's", async () => {
    const probe = new Background();
    const runner = new ProbeRunner(probe);
    runner.poll(0);
    await turn();
    const answer = probe.answers[0];
    runner.close();
    answer?.(7);
    await turn();
    expect(runner.latest(0)).toBeUndefined();
    expect(probe.signals[0]?.aborted).toBe(true);
  });
});
