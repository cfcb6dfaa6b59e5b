import { expect, expectTypeOf, test } from "vitest";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import { InvalidInputError } from "../../../src/contract/errors.ts";
import { flow, type FlowBuilder } from "../../../src/producer/flow-builder.ts";

test("a flow that is built is one that is checked", () => {
  const document = flow("photos", { inputs: { folder: {} }, fail_fast: true })
    .exec("list", { command: ["/bin/ls", "${inputs.folder}"], output: { name: "list.txt" } })
    .files("shrink", {
      command: ["/usr/bin/convert", "{input}", "{output}"],
      input: "${inputs.folder}",
      needs: ["list"],
    })
    .infer("classify", { model: "/models/small", input: "${nodes.shrink.output}", needs: ["shrink"] })
    .agent("describe", { prompt: "Describe ${nodes.list.output}", needs: ["list", "classify"] })
    .gate("ask", { message: "good?", needs: [{ node: "describe", on: "always" }] })
    .flow("rest", { file: "rest.yaml", needs: ["ask"] });
  const rest = flow("rest")
    .exec("a", { command: ["/bin/true"] })
    .toDocument();
  const checked = checkFlow(document.toDocument({ "rest.yaml": rest }), { "rest.yaml": rest });
  expect(checked.kind === "valid" && checked.flow.order.map(({ id }) => id)).toEqual([
    "list",
    "shrink",
    "classify",
    "describe",
    "ask",
    "rest",
  ]);
});

test("needs are nodes that were written before, or it does not compile", () => {
  const one = flow("f").exec("a", { command: ["x"] });
  expectTypeOf(one).toEqualTypeOf<FlowBuilder<"a">>();
  // @ts-expect-error: b is not there yet
  expect(() => one.exec("c", { command: ["x"], needs: ["b"] }).toDocument()).toThrow(InvalidInputError);
  // @ts-expect-error: a node of this kind has no prompt
  expect(() => one.exec("c", { command: ["x"], prompt: "?" }).toDocument()).toThrow(InvalidInputError);
  // @ts-expect-error: there is no such rule
  expect(() => one.exec("c", { command: ["x"], needs: [{ node: "a", on: "done" }] }).toDocument()).toThrow(
    InvalidInputError,
  );
});

test("each step is a flow of its own", () => {
  const one = flow("f").exec("a", { command: ["x"] });
  one.exec("b", { command: ["x"], needs: ["a"] });
  expect(one.toDocument().nodes).toHaveLength(1);
});
