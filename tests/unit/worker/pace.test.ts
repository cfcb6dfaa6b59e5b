import { describe, expect, test } from "vitest";
import { Pace } from "../../../src/worker/pace.ts";

describe("pace", () => {
  test("tells how long jobs take and the most at a time; what was given back says nothing", () => {
    const pace = new Pace({ monotonicMs: () => 0 });
    expect(pace.told).toEqual([]);
    pace.began("a");
    pace.began("a");
    pace.began("b");
    pace.ended("a", 1_000);
    pace.ended("b", undefined);
    expect(pace.told).toEqual([{ profile: "a", jobMs: 1_000, jobsAtOnce: 2 }]);
    pace.ended("a", 2_000);
    expect(pace.told).toEqual([{ profile: "a", jobMs: 1_100, jobsAtOnce: 2 }]);
  });

  test("forgets the most at a time where fewer have run for ten minutes", () => {
    let nowMs = 0;
    const pace = new Pace({ monotonicMs: () => nowMs });
    for (let at = 0; at < 3; at += 1) pace.began("a");
    for (let at = 0; at < 3; at += 1) pace.ended("a", 10);
    nowMs = 599_999;
    pace.began("a");
    pace.ended("a", 10);
    expect(pace.told[0]?.jobsAtOnce).toBe(3);
    nowMs = 600_000;
    pace.began("a");
    expect(pace.told[0]?.jobsAtOnce).toBe(1);
  });
});
