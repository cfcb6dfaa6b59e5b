import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeTemplate } from "../../../../src/contract/flow-templates.ts";
import {
  createScope,
  evaluateCondition,
  evaluateExpression,
  evaluateList,
  expandArguments,
  expandTemplate,
  expandValue,
  withItem,
} from "../../../../src/platform/flow/expressions.ts";

const many = Array.from({ length: 100_000 }, (_, at) => at);
const scope = createScope({
  inputs: { n: 2, lang: "en", isFast: true, half: 0.5 },
  nodes: {
    fetch: { outcome: "succeeded", exit_code: 0, result: { score: 1, urls: ["a", "b"], nested: [{ x: [1, 2] }] } },
    "two-words": { outcome: "failed" },
    big: { result: many },
  },
  run: { id: "r1", folder: "/runs/r1" },
});

describe("an expression", () => {
  test.each([
    ['nodes.fetch.outcome == "succeeded" && nodes.fetch.exit_code == 0', true],
    ['nodes["two-words"].outcome', "failed"],
    ["inputs.n + 1", 3],
    ["inputs.n * inputs.half", 1],
    ["nodes.fetch.result.score > 0.5", true],
    ["5 - (3 - 1)", 3],
    ["[9].map(x, x - (3 - 1))", [7]],
    ['nodes.fetch.result.urls.map(u, "/" + u + "?" + inputs.lang)', ["/a?en", "/b?en"]],
    ['nodes.fetch.result.urls.filter(u, u != "a")', ["b"]],
    ["nodes.fetch.result.nested[0].x[1]", 2],
    ["has(nodes.fetch.result.missing)", false],
    ["size(nodes.big.result)", 100_000],
    ['nodes.fetch.result.urls.join(", ")', "a, b"],
    ['inputs.isFast ? "fast" : "slow"', "fast"],
    ['{"a": [1, "x", true]}', { a: [1, "x", true] }],
    ['run.folder + "/" + run.id', "/runs/r1/r1"],
    ['"caf\\u00e9".contains("é")', true],
  ])("%s", (expression, value) => {
    expect(evaluateExpression(expression, scope)).toEqual({ kind: "value", value });
  });

  test.each([
    ["1 +", "Unexpected token"],
    ["nodes.fetch.result.missing", "No such key: missing"],
    ["nodes.fetch.constructor", "No such key: constructor"],
    ["1 / 0", "division by zero"],
    ["inputs", "inputs without a name"],
    ["nodes[inputs.lang].outcome", "nodes without a name"],
    ["nodes.fetch", "nodes.fetch"],
    ["process.env", 'the unknown name "process"'],
    ["nodes.map(n, n)", "nodes without a name"],
    ["cel.bind(x, 1, x)", "the function bind()"],
    ['timestamp("2020-01-01T00:00:00Z")', "the function timestamp()"],
    ["[1].map(inputs, inputs)", '"inputs"'],
    ["[1].map(a, [1].map(b, [1].map(c, c)))", "more"],
    ['b"bytes"', "literal of bytes"],
    ["9223372036854775807", "9223372036854775807"],
    ["1.0 / 0.0", "Infinity"],
  ])("%s is refused", (expression, found) => {
    const result = evaluateExpression(expression, scope);
    expect(result.kind === "faulty" && result.found).toContain(found);
  });

  test.each([
    ["loops", "nodes.big.result.exists(x, nodes.big.result.exists(y, y == -1))", "250 ms"],
    ["regular expressions", `"${"a".repeat(40)}b".matches("(a+)+$")`, "250 ms"],
    ["growing lists", `[["x"]]${".map(x, x + x + x + x + x + x + x + x)".repeat(8)}`, "entries at most"],
    ["growing texts", `["x"]${".map(x, x + x + x + x + x + x + x + x)".repeat(8)}`, "characters at most"],
    ["joined texts", `[nodes.big.result.map(n, "${"x".repeat(90)}").join()]`, "characters at most"],
    ["one list in itself", `[1]${".map(x, [x, x, x, x, x, x, x, x, x, x])".repeat(6)}`, "values at most"],
    ["deep brackets", `${"(".repeat(200)}1${")".repeat(200)}`, "maxDepth"],
    ["many parts", Array.from({ length: 600 }, () => "1").join(" + "), "maxAstNodes"],
  ])("cannot take for ever by %s", (_name, expression, limit) => {
    const begin = performance.now();
    const result = evaluateExpression(expression, scope);
    expect(performance.now() - begin).toBeLessThan(5_000);
    expect(result.kind === "faulty" && `${result.expected} ${result.found}`).toContain(limit);
  });

  test("knows an entry and its number in a foreach", () => {
    const inner = withItem(scope, { url: "u" }, 7);
    expect(evaluateExpression("item.url + string(index)", inner)).toEqual({ kind: "value", value: "u7" });
    expect(evaluateExpression("item", scope).kind).toBe("faulty");
  });

  test("says that it yields no condition, or no list", () => {
    expect(evaluateCondition("inputs.n", scope)).toMatchObject({ kind: "faulty", expected: "true or false" });
    expect(evaluateList("inputs.n", scope)).toMatchObject({ kind: "faulty", expected: "a list" });
  });

  test("yields any JSON as it was", () => {
    const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes("__proto__"));
    fc.assert(
      fc.property(json, (value) => {
        const same = withItem(scope, value, 0);
        // JSON knows no negative zero, and expressions no whole number that is not exact.
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        const result = evaluateExpression("item", same);
        if (result.kind === "value") expect(result.value).toEqual(plain);
        else expect(result.found).toMatch(/^-?\d/);
      }),
    );
  });

  test("is the same measured as not measured", () => {
    const number = fc.integer({ min: -50, max: 50 });
    const sum = fc.letrec<{ e: string }>((tie) => ({
      e: fc.oneof(
        { maxDepth: 4 },
        number.map((n) => `(${n})`),
        fc.tuple(tie("e"), fc.constantFrom("+", "-", "*"), tie("e")).map(([a, sign, b]) => `(${a} ${sign} ${b})`),
        fc.tuple(tie("e"), tie("e"), tie("e")).map(([a, b, c]) => `(${a} < ${b} ? ${c} : -(${a}))`),
      ),
    })).e;
    fc.assert(
      fc.property(sum, (text) => {
        // A macro makes an expression one that is rewritten.
        const plain = evaluateExpression(text, scope);
        const measured = evaluateExpression(`[1].map(x, ${text})[0]`, scope);
        if (plain.kind === "value") expect(measured).toEqual(plain);
        else expect(measured.kind).toBe("faulty");
      }),
      { numRuns: 200 },
    );
  });
});

describe("a template", () => {
  test("puts expressions between its text", () => {
    const text = 'x=${inputs.n} ${nodes["two-words"].outcome} ${"}"} ${{"a": "b"}.a} $${inputs.n}';
    expect(expandTemplate(text, scope)).toEqual({ kind: "value", value: "x=2 failed } b ${inputs.n}" });
  });

  test.each(["${", "${}", "a ${inputs.n", '${"}', "${nodes.fetch.result}", "${null}", '${"\\u0000"}'])(
    "%s is refused",
    (text) => {
      expect(expandTemplate(text, scope).kind).toBe("faulty");
    },
  );

  test("that is one expression keeps its type, and is several arguments when it is a list", () => {
    expect(expandValue("${inputs.n}", scope)).toEqual({ kind: "value", value: 2 });
    const command = ["cat", "${nodes.fetch.result.urls}", "-n${inputs.n}", ""];
    expect(expandArguments(command, scope)).toEqual({ kind: "value", value: ["cat", "a", "b", "-n2", ""] });
    expect(expandArguments(["${[[1]]}"], scope).kind).toBe("faulty");
  });

  test("of any text without expressions is that text", () => {
    const texts = fc.string({ unit: fc.constantFrom("$", "{", "}", "a", '"', "\\"), maxLength: 20 });
    fc.assert(
      fc.property(texts, (text) => {
        expect(expandTemplate(escapeTemplate(text), scope)).toEqual({ kind: "value", value: text });
      }),
      { numRuns: 2_000 },
    );
  });

  test("never throws", () => {
    const pieces = fc.constantFrom(
      "${",
      "}",
      "$",
      "inputs.n",
      "nodes",
      ".",
      "'",
      '"',
      "+",
      "[",
      "]",
      "map(x, x)",
      " ",
      "$${",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        expect(["value", "faulty"]).toContain(expandTemplate(parts.join(""), scope).kind);
      }),
      { numRuns: 2_000 },
    );
  });
});
