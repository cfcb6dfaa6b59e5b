import { describe, expect, test } from "vitest";
import { defaultProfile } from "../../../../src/contract/profiles.ts";
import { MiB } from "../../../../src/contract/resources.ts";
import { pictureSvg, pictureText } from "../../../../src/cli/calibrate/picture.ts";
import { proposeProfile } from "../../../../src/cli/calibrate/proposal.ts";
import { expectationOf } from "../../../../src/platform/learned/expectation-of.ts";

const unknown = expectationOf({ profile: defaultProfile, learned: undefined, inputBytes: 0 });
const file = (mebibytes: number, cpuMs = 500) => ({
  path: `f${mebibytes}`,
  inputBytes: mebibytes * MiB,
  peakBytes: mebibytes * 2 * MiB,
  durationMs: 1_000,
  cpuMs,
});

describe("the proposal", () => {
  test("is never below the largest peak that was seen, whatever was learned", () => {
    const { memoryBytes } = proposeProfile([file(10), file(500)], unknown, { memoryBytes: 8_000 * MiB, cpuCores: 8 });
    expect(memoryBytes).toBe(1_008 * MiB);
  });

  test.each([
    [4_000, 64, 3, "memory"],
    [64_000, 2, 4, "cpu"],
    [100, 1, 1, "memory"],
  ])("fits %d MiB and %d cores", (mebibytes, cpuCores, concurrency, limitedBy) => {
    const machine = { memoryBytes: mebibytes * MiB, cpuCores };
    expect(proposeProfile([file(500)], unknown, machine)).toMatchObject({ concurrency, limitedBy });
  });
});

test("the picture shows each file and the line, and is safe to open", () => {
  const files = [file(10), file(200), file(400)];
  const text = pictureText(files, 900 * MiB)
    .slice(0, 10)
    .join("\n");
  expect(text.match(/•/g)).toHaveLength(3);
  expect(text).toContain("----");
  const svg = pictureSvg(files, 900 * MiB, "sh -c '<script>' & more");
  expect(svg.match(/<circle/g)).toHaveLength(3);
  expect(svg).not.toContain("<script>");
});
