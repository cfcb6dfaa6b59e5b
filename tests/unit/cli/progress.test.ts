import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { Progress, plainProgressLine, progressLine } from "../../../src/cli/progress.ts";
import { canRedraw, plainStyle, styleFor } from "../../../src/cli/style.ts";
import { shownWait } from "../../../src/cli/follow.ts";
import { noFiles } from "../../../src/contract/run-record.ts";
import type { RunProgress, WaitReason } from "../../../src/contract/status.ts";
import { systemClock } from "../../../src/platform/clock.ts";

function status(counts: Partial<typeof noFiles>, progress: Partial<RunProgress> = {}, state = "running" as const) {
  const doneFiles = (counts.succeeded ?? 0) + (counts.failed ?? 0);
  const total = counts.total ?? 0;
  return {
    state,
    counts: { ...noFiles, ...counts },
    progress: {
      ...{ chunks: 1, isScanned: true, doneFiles, doneRatio: total === 0 ? null : doneFiles / total },
      ...{ elapsedSeconds: 2, filesPerSecond: 412, remainingSeconds: 2, runningJobs: 2 },
      ...progress,
    },
  };
}

describe("progress", () => {
  const half = status({ total: 2_000, succeeded: 1_238, failed: 2 });

  test("says done, failed, rate, remaining time and what the governor waits for", () => {
    const line = progressLine(half, { wait: "memory is short", columns: 120 });
    expect(line).toContain(" 62 %  1,240 of 2,000 files · 2 failed · 412/s · 2 s left · waits: memory is short");
    expect(plainProgressLine(half)).toBe("1,240 of 2,000 files, 2 failed, 412/s, 2 s left");
  });

  test("never grows wider than the terminal", () => {
    const colour = styleFor({ isTTY: true }, {});
    for (const columns of [10, 40, 71, 72, 80, 200]) {
      const line = progressLine(half, { wait: "x".repeat(300), columns, style: colour });
      expect(stripVTControlCharacters(line).length).toBeLessThan(columns);
    }
  });

  test("says that the scan still counts", () => {
    const scanning = status(
      { total: 512, succeeded: 10 },
      { isScanned: false, doneRatio: null, remainingSeconds: null },
    );
    expect(progressLine(scanning, { columns: 100 })).toBe("10 of 512+ files · 412/s");
  });

  test("never says that more are done than there are, while the scan has not told how many it found", () => {
    const begun = status({ total: 0, succeeded: 2 }, { isScanned: false, doneRatio: null, remainingSeconds: null });
    expect(progressLine(begun, { columns: 100 })).toMatch(/^2 of 2\+ files/);
  });

  test("redraws at most ten times a second on a terminal, and writes a plain line each ten seconds elsewhere", () => {
    let nowMs = 0;
    const clock = { ...systemClock, monotonicMs: () => nowMs };
    const written: string[] = [];
    const stream = { columns: 80, write: (text: string) => written.push(text) };
    const live = new Progress({ stream, isLive: true, style: plainStyle, clock });
    for (nowMs = 0; nowMs < 1_000; nowMs += 10) live.update(half);
    expect(written).toHaveLength(10);
    live.clear();
    expect(written.at(-1)).toBe("\r\u001b[K");
    written.length = 0;
    nowMs = 0;
    const plain = new Progress({ stream, isLive: false, style: plainStyle, clock });
    for (nowMs = 0; nowMs <= 30_000; nowMs += 500) plain.update(half);
    plain.clear();
    expect(written).toEqual(Array(3).fill("headroom: 1,240 of 2,000 files, 2 failed, 412/s, 2 s left\n"));
  });

  test("shows a reason to wait only when it is one", () => {
    const reason = (code: string): WaitReason => ({
      ...{ where: "worker w", code, message: `because of ${code}`, sinceMs: null, etaMs: null, need: null, have: null },
    });
    expect(shownWait([reason("running"), reason("scanning")], half)).toBeUndefined();
    expect(shownWait([reason("running"), reason("no-worker")], half)).toBe("because of no-worker");
    expect(shownWait([reason("PROCESSES")], half)).toBeUndefined();
    expect(shownWait([reason("PROCESSES")], status({}, { runningJobs: 0 }))).toBe("because of PROCESSES");
  });

  test("a terminal without colours gets none", () => {
    expect(styleFor({ isTTY: true }, { NO_COLOR: "1" })).toBe(plainStyle);
    expect(styleFor({ isTTY: false }, {})).toBe(plainStyle);
    expect(styleFor({ isTTY: true }, { NO_COLOR: "" })).not.toBe(plainStyle);
    expect(canRedraw({ isTTY: true }, { TERM: "dumb" })).toBe(false);
  });
});
