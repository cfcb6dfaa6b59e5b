import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvalidInputError, PathEscapeError } from "../../../src/contract/errors.ts";
import { OutputNames } from "../../../src/contract/output-name-set.ts";
import { mayCollide, outputNameFor } from "../../../src/contract/output-names.ts";
import { outputSpec } from "../../../src/contract/run-spec.ts";

const named = (name?: string) => ({ output: outputSpec.parse({ root: "/out", name, from: "stdout" }) });
const nameOf = (template: string | undefined, path: string, index = 3) =>
  outputNameFor(named(template), path, index, "r1");

describe("output names", () => {
  test.each([
    [undefined, "a/b c.txt", "a/b c.txt.output"],
    [undefined, "top", "top.output"],
    ["{stem}-{index}.{ext}", "a/b.txt", "b-3.txt"],
    ["{run}/{dir}/{name}", "x", "r1/x"],
    ["{dir}/{name}", "-n\n'\" \udcff", "-n\n'\" \udcff"],
    ["{name}{name}", "{run}", "{run}{run}"],
  ])("template %s names %s", (template, path, expected) => {
    expect(nameOf(template, path)).toBe(expected);
  });

  test.each(["../{name}", "{dir}/../../{name}", "/{name}", "{dir}/..{ext}"])(
    "%s must not leave the root",
    (template) => {
      expect(() => nameOf(template, "b")).toThrow(PathEscapeError);
    },
  );

  test.each([["{ext}"], ["{name}/"], ["."], ["{name}\0"], [".headroom-{name}"]])(
    "%j is refused as no file name",
    (template) => {
      expect(() => nameOf(template, "b")).toThrow(InvalidInputError);
    },
  );

  test("a part has 255 bytes at most", () => {
    expect(nameOf("{name}", "é".repeat(127))).toHaveLength(127);
    expect(() => nameOf("{name}", "é".repeat(128))).toThrow(/255 bytes/);
    expect(() => nameOf(undefined, `a/${"x".repeat(250)}`)).toThrow(/255 bytes/);
  });

  test.each([
    ["{dir}/{name}.output", false],
    ["{run}/x/{dir}/{name}", true],
    ["out/{dir}/{name}", false],
    ["{index}", false],
    ["{index}-{name}", false],
    ["{name}.{index}", false],
    ["{index}{name}", true],
    ["{name}{index}", true],
    ["{stem}.{ext}", true],
    ["{dir}{name}", true],
    ["x{dir}/{name}", true],
    ["{dir}/{name}/{stem}", true],
  ])("%s may collide: %s", (template, expected) => {
    expect(mayCollide(template)).toBe(expected);
  });

  test("a template that is said to be free of collisions is", () => {
    const part = fc.stringMatching(/^[a.1]{1,3}$/).filter((name) => name !== "." && name !== "..");
    const paths = fc.uniqueArray(
      fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/")),
      {
        maxLength: 30,
      },
    );
    const pieces = ["{dir}", "{name}", "{stem}", "{ext}", "{index}", "/", "-", "1", "a", "{{"];
    const templates = fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 5 }).map((some) => some.join(""));
    fc.assert(
      fc.property(templates, paths, (template, list) => {
        fc.pre(!mayCollide(template));
        const found: string[] = [];
        for (const [index, path] of list.entries()) {
          try {
            found.push(nameOf(template, path, index));
          } catch (error) {
            if (!(error instanceof InvalidInputError || error instanceof PathEscapeError)) throw error;
          }
        }
        expect(new Set(found).size).toBe(found.length);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("output name set", () => {
  test("agrees with a real map", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary", maxLength: 3 }), { maxLength: 300 }),
        fc.integer(),
        (names, seed) => {
          const set = new OutputNames(seed);
          const map = new Map<string, number>();
          for (const [index, name] of names.entries()) {
            expect(set.claim(name, index)).toBe(map.get(name));
            if (!map.has(name)) map.set(name, index);
          }
          expect(set.size).toBe(map.size);
        },
      ),
    );
  });

  test("holds a million names in less than 40 MB and finds each again", () => {
    const set = new OutputNames(1);
    let falseHits = 0;
    for (let index = 0; index < 1_000_000; index += 1) {
      if (set.claim(`folder/file-${index}.output`, index) !== undefined) falseHits += 1;
    }
    expect(falseHits).toBe(0);
    // The copy of the last doubling is the peak: half as much again.
    expect(set.memoryBytes * 1.5).toBeLessThan(40_000_000);
    let lost = 0;
    for (let index = 0; index < 1_000_000; index += 1_000) {
      if (set.claim(`folder/file-${index}.output`, 0) !== index) lost += 1;
    }
    expect(lost).toBe(0);
  });
});
