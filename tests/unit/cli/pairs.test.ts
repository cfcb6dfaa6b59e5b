import { expect, test } from "vitest";
import { parsePairs } from "../../../src/cli/pairs.ts";

test("pairs are read as YAML, by name", () => {
  expect(parsePairs(["cpu=2", "memory=6GiB", "paused=true", "labels=[gpu, ssd]", "text=a=b"], "set")).toEqual({
    ...{ cpu: 2, memory: "6GiB", paused: true, labels: ["gpu", "ssd"], text: "a=b" },
  });
});

test("what is no pair, and a name with two values, are told together", () => {
  expect(() => parsePairs(["cpu", "memory=1GiB", "memory=2GiB"], "profiles set")).toThrow(
    /expected NAME=VALUE, found "cpu"[\s\S]*expected memory once, found memory=1GiB and memory=2GiB/,
  );
});
