/** The clock of people is set while jobs run and wait: nothing that the worker decides, learns or foretells moves with it. */
import { expect, onTestFinished, test, vi } from "vitest";
import { ClassLimits } from "../../../../src/worker/governor/class-limits.ts";
import { nothingKnown } from "../../../support/situations/situation.ts";
import { QUEUE, StagedWorker } from "../../../support/staged-worker.ts";

const BIG = "exec.big@18";
const HOUR_MS = 3_600_000;
const WAITED_MS = 12_000;
const known = { ...nothingKnown, basis: "learned", samples: 50 } as const;

function tell(stage: StagedWorker) {
  const big = stage.asks(stage.ask(400, { queue: BIG }));
  // It would end in time only if the end of the jobs that run were an hour away.
  const small = stage.asks({ ...stage.ask(128), expected: { expectation: known, lastsMs: 120_000 } });
  const { running, waiting, refusingMs, offers } = stage.governor.snapshot();
  return {
    ...{ big: big?.code, small: small?.code, message: small?.message, refusingMs, offers },
    running: running.map(({ sinceMs, endsAtMs }) => [Date.now() - sinceMs, (endsAtMs ?? 0) - Date.now()]),
    waiting: waiting.map(({ queue, sinceMs, etaMs }) => [queue, Date.now() - (sinceMs ?? 0), etaMs]),
  };
}

test.each([HOUR_MS, -HOUR_MS])("a clock that jumps by %d ms moves no end, no wait and no limit", async (jumpMs) => {
  const ends = vi.spyOn(ClassLimits.prototype, "noteEnd");
  onTestFinished(() => {
    ends.mockRestore();
  });
  await using stage = await new StagedWorker({ config: { memoryThreshold: 0.8 } }).start();
  for (const jobId of ["a", "b", "c"]) stage.begin(jobId, stage.ask(120));
  for (let waitedMs = 0; waitedMs < WAITED_MS; waitedMs += 1_000) {
    stage.asks(stage.ask(400, { queue: BIG }));
    stage.governor.noteBacklog(new Set([BIG, QUEUE]));
    await stage.pass(1_000);
  }
  for (const jobId of ["a", "b", "c"]) stage.governor.worked(jobId, { work: 1, cpuMs: 0 });
  stage.end("a");
  const before = tell(stage);
  expect(before).toMatchObject({ small: "HOLDING", refusingMs: WAITED_MS });
  expect(before.running).toEqual([
    [WAITED_MS, 60_000 - WAITED_MS],
    [WAITED_MS, 60_000 - WAITED_MS],
  ]);

  vi.setSystemTime(Date.now() + jumpMs);
  expect(tell(stage)).toEqual(before);
  await stage.pass(1_000);
  stage.end();
  expect(ends.mock.calls.map(([end]) => end.ms)).toEqual([WAITED_MS, WAITED_MS + 1_000, WAITED_MS + 1_000]);
});
