import { expect, test } from "vitest";
import { classOf } from "../../../../src/platform/learned/class-key.ts";

const spec = { profile: "default", command: ["/models/kind"], executor: "infer" as const };

test("a model that takes the place of another in its folder is a class of its own, where the run names it", () => {
  const [first, second] = ["a", "b"].map((digit) => classOf({ ...spec, binarySha256: digit.repeat(64) }));
  expect(first).toEqual(classOf({ ...spec, binarySha256: "a".repeat(64) }));
  expect(first?.key).not.toBe(second?.key);
  expect(first?.command).toEqual(["/models/kind", "sha256:aaaaaaaaaaaa"]);
  expect(classOf(spec).command).toEqual(spec.command);
});

test("a binary is its command, whatever it was built of", () => {
  const ofBinary = { ...spec, executor: "process" as const };
  expect(classOf({ ...ofBinary, binarySha256: "a".repeat(64) })).toEqual(classOf(ofBinary));
});
