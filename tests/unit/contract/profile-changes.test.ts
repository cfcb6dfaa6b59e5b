import { describe, expect, test } from "vitest";
import { effectiveProfile, parseProfileChange } from "../../../src/contract/profile-changes.ts";
import { defaultProfile } from "../../../src/contract/profiles.ts";
import { GiB } from "../../../src/contract/resources.ts";

describe("what is set for a profile", () => {
  test("is read as the configuration file reads it", () => {
    const set = parseProfileChange("heavy", { memory: "6GiB", cpu: 2, labels: ["gpu"] });
    expect(set).toEqual({ memory: 6 * GiB, cpu: 2, labels: ["gpu"] });
  });

  test.each([
    ["an unknown field", "heavy", { memroy: "6GiB" }, /memroy.*memory/s],
    ["every value that is none", "heavy", { memory: "much", cpu: -1 }, /memory.*cpu|cpu.*memory/s],
    ["the profile of scans and reports", "control", { cpu: 1 }, /other than control/],
    ["a name that is none", "He avy", { cpu: 1 }, /name of a profile/],
  ])("refuses %s", (_what, profile, input, words) => {
    expect(() => parseProfileChange(profile, input)).toThrow(words);
  });

  test("counts over what a run declares, field by field", () => {
    const declared = { ...defaultProfile, memoryBytes: GiB, cpuCores: 4 };
    expect(effectiveProfile(declared, { memory: 2 * GiB, labels: ["gpu"] })).toEqual({
      ...{ memoryBytes: 2 * GiB, cpuCores: 4, labels: ["gpu"] },
    });
    expect(effectiveProfile(declared, undefined)).toBe(declared);
  });
});
