import { describe, expect, test } from "vitest";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import {
  checkTemplates,
  expand,
  pathPlaceholders,
  placeholdersOf,
  outputFromOf,
  slipsOf,
} from "../../../src/contract/template.ts";

describe("templates", () => {
  test.each([
    ["a/b.tar.gz", { dir: "a", name: "b.tar.gz", stem: "b.tar", ext: "gz" }],
    ["b", { dir: ".", name: "b", stem: "b", ext: "" }],
    [".hidden", { dir: ".", name: ".hidden", stem: ".hidden", ext: "" }],
    ["a/.x.y", { dir: "a", name: ".x.y", stem: ".x", ext: "y" }],
    ["a/b.", { dir: "a", name: "b.", stem: "b", ext: "" }],
  ])("%s has its parts", (path, parts) => {
    expect(pathPlaceholders(path, 7, "r1")).toEqual({ ...parts, index: "7", run: "r1" });
  });

  test("values are put in once, whatever they hold", () => {
    const values = { name: "{run}$&{{", run: "r1" };
    expect(expand("--x={name}|{run}", values)).toBe("--x={run}$&{{|r1");
  });

  test("foreign braces stay and doubled ones are one", () => {
    expect(expand("{foo} {{name} {} {Name} ${name}", { name: "n" })).toBe("{foo} {name} {} {Name} $n");
    expect([...placeholdersOf("{{name}{stem}{foo}")]).toEqual(["stem", "foo"]);
  });

  test("an output placeholder says that the command writes the file", () => {
    expect(outputFromOf(["cp", "{input}", "--to={output_file}"])).toBe("file");
    expect(outputFromOf(["sha256sum", "{input}", "{{output}"])).toBe("stdout");
  });

  test("a word in braces that is nearly a placeholder is told, and braces of other programs are not", () => {
    expect(slipsOf(["jq", "{inptu}", "--to={ouput}", "{a}", "{print}", "{{iput}", "{input}"])).toEqual([
      { written: "inptu", meant: "input" },
      { written: "ouput", meant: "output" },
    ]);
  });

  test("a slip in the only placeholder is refused: every file would be run with the same words", () => {
    const check = (...command: string[]) => {
      checkTemplates(command, "{name}");
    };
    expect(() => {
      check("cat", "--in={inptu}");
    }).toThrow("expected {input}, or {{inptu} for these words as they stand, found {inptu}, and no placeholder");
    for (const command of [["cat", "{{inptu}"], ["cat", "{inptu}", "{input}"], ["awk", "{print}"], ["date"]]) {
      expect(() => {
        check(...command);
      }).not.toThrow();
    }
  });

  test("all faults are reported together", () => {
    const check = () => {
      checkTemplates(["x", "{inputs}", "--all={inputs}", "{input}"], "{input}{what}");
    };
    expect(check).toThrow(InvalidInputError);
    expect(check).toThrow(/4 faults/);
  });

  test.each(["/abs/{name}", "../{name}", "{dir}/../{name}"])(
    "an output name that leads elsewhere is refused: %s",
    (name) => {
      expect(() => {
        checkTemplates(["x"], name);
      }).toThrow(/a path below the output folder/);
    },
  );

  test("the command of one file and of a whole chunk pass", () => {
    checkTemplates(["x", "--input={input_file}", "--output={output_file}"], "{dir}/{stem}.{ext}");
    checkTemplates(["x", "--run={run}", "{inputs}"], "{index}");
    checkTemplates(["x", "--output={output}", "{inputs}"], "{index}");
  });
});
