import { expect, test } from "vitest";
import { InvalidInputError, lineOf } from "../../../src/contract/errors.ts";

test("faults on one line, for records that are shown in rows", () => {
  const one = { where: "input", expected: "a folder", found: "nothing" };
  const other = { where: "output", expected: "a name", found: '"a\\nb"' };
  expect(lineOf(new InvalidInputError("run", [one]))).toBe("input: expected a folder, found nothing");
  expect(lineOf(new InvalidInputError("run", [one, other]))).toBe(
    'input: expected a folder, found nothing; output: expected a name, found "a\\nb"',
  );
  expect(lineOf(new Error("plain"))).toBe("plain");
});
