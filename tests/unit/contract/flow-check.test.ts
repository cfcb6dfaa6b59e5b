import { describe, expect, test } from "vitest";
import { checkFlow, MAX_FLOW_DEPTH, type FlowFiles } from "../../../src/contract/flow-check.ts";

const exec = (id: string, needs: unknown[] = [], more: object = {}) => ({
  id,
  kind: "exec",
  command: ["/bin/true"],
  needs,
  ...more,
});
const flowOf = (...nodes: unknown[]) => ({ version: 1, name: "f", nodes });

function checked(written: unknown, files: FlowFiles = {}) {
  const result = checkFlow(written, files);
  if (result.kind === "faulty") throw new TypeError(result.faults.map(({ where }) => where).join("; "));
  return result.flow;
}

function faultsOf(written: unknown, files: FlowFiles = {}): string[] {
  const result = checkFlow(written, files);
  return result.kind === "valid"
    ? []
    : result.faults.map((fault) => `${fault.where}: ${fault.expected}, ${fault.found}`);
}

describe("the graph of a flow", () => {
  const diamond = flowOf(exec("d", ["b", "c"]), exec("b", ["a"]), exec("c", [{ node: "a", on: "always" }]), exec("a"));

  test("is in an order in which every node follows what it needs", () => {
    const flow = checked(diamond);
    expect(flow.order.map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
    expect(flow.dependents.get("a")).toEqual([
      { node: "b", on: "success" },
      { node: "c", on: "always" },
    ]);
    expect([flow.depth, flow.width, flow.nodeCount]).toEqual([3, 2, 4]);
  });

  test("counts what a written list repeats", () => {
    const flow = checked(flowOf(exec("a", [], { foreach: [1, 2, 3] }), exec("b")));
    expect([flow.width, flow.nodeCount]).toEqual([4, 4]);
  });

  test("is refused with the way round when it is a cycle", () => {
    const faults = faultsOf(flowOf(exec("a", ["c"]), exec("b", ["a"]), exec("c", ["b"]), exec("behind", ["a"])));
    expect(faults).toEqual(["nodes[1].needs: nodes that do not wait for themselves, the cycle b → c → a → b"]);
  });

  test("is refused when a node needs itself", () => {
    expect(faultsOf(flowOf(exec("a", ["a"])))).toEqual([
      "nodes[0].needs: nodes that do not wait for themselves, the cycle a → a",
    ]);
  });

  test("tells each of several cycles", () => {
    const faults = faultsOf(flowOf(exec("a", ["b"]), exec("b", ["a"]), exec("x", ["y"]), exec("y", ["x"])));
    expect(faults.map((fault) => fault.replace(/.*the cycle /, ""))).toEqual(["b → a → b", "y → x → y"]);
  });
});

describe("a flow with faults", () => {
  test("tells doubled ids, unknown needs and unknown keys together", () => {
    const faults = faultsOf(flowOf(exec("fetch"), exec("fetch"), exec("x", ["fetsh"], { comand: 1 })));
    expect(faults).toEqual([
      'nodes[2].comand: a known key (did you mean "command"?), the unknown key "comand"',
      'nodes[1].id: an id of its own (nodes[0] has it), "fetch"',
      'nodes[2].needs[0]: a node of the flow: fetch, x (did you mean "fetch"?), the unknown node "fetsh"',
    ]);
  });

  test("tells expressions that name what is not upstream", () => {
    const faults = faultsOf(
      flowOf(
        exec("a", [], { output: { name: "o" } }),
        exec("b", [], { when: 'nodes.a.outcome == "failed"' }),
        exec("c", ["a"], { command: ["x", "${nodes.a.outptu}", "${inputs.none}", "${item}"] }),
      ),
    );
    expect(faults.map((fault) => fault.split(":")[0])).toEqual([
      "nodes[1].when",
      "nodes[2].command[1]",
      "nodes[2].command[2]",
      "nodes[2].command[3]",
    ]);
    expect(faults[1]).toContain('did you mean "output"?');
  });

  test("tells a condition that is no condition and a list that is no list", () => {
    const faults = faultsOf(flowOf(exec("a", [], { when: "1 + 1", foreach: '"text"' })));
    expect(faults).toHaveLength(2);
  });

  test.each([
    ["undefined", undefined],
    ["a text", "nodes"],
    ["a list", []],
    ["a class", new Map()],
    ["a function", { version: 1, name: "x", nodes: [() => 1] }],
    ["a prototype", JSON.parse('{"version":1,"name":"x","nodes":[],"__proto__":{"x":1}}')],
    ["no nodes", flowOf()],
    ["Infinity", flowOf(exec("a", [], { priority: Infinity }))],
  ])("is refused when it is %s", (_name, written) => {
    expect(faultsOf(written).length).toBeGreaterThan(0);
  });

  test("that is its own part is refused", () => {
    const written: Record<string, unknown> = flowOf(exec("a"));
    written["description"] = written;
    expect(faultsOf(written)[0]).toContain("64 deep");
  });

  test("names globs that are no pattern, of runs and of models", () => {
    const files = { kind: "files", command: ["cat", "{input}"], input: "/in", include: ["*.txt", "[a"] };
    const infer = { kind: "infer", model: "/m", input: "/in", exclude: ["x("] };
    const faults = faultsOf(flowOf({ id: "a", ...files }, { id: "b", ...infer }));
    expect(faults).toEqual([
      expect.stringMatching(/^nodes\[0\]\.include\[1\]: a glob pattern \(missing closing: "\]".*, "\[a"$/),
      expect.stringMatching(/^nodes\[1\]\.exclude\[0\]: a glob pattern \(missing closing: "\)".*, "x\("$/),
    ]);
  });

  test("tells a hundred faults of ten thousand", () => {
    const faults = faultsOf(flowOf(...Array.from({ length: 10_000 }, (_, at) => exec(`n${at}`, ["none"]))));
    expect(faults).toHaveLength(101);
    expect(faults.at(-1)).toBe("the flow: no faults, 9900 more");
  });
});

describe("flows in a flow", () => {
  const sub = (file: string, inputs = {}) => ({ id: "sub", kind: "flow", file, inputs });
  const inner = { ...flowOf(exec("a")), inputs: { size: { type: "number" }, lang: { default: "en" } } };

  test("are checked with it and count", () => {
    const flow = checked(flowOf(sub("x/inner.yaml", { size: 3 })), { "x/inner.yaml": inner });
    expect(flow.nested.get("sub")?.file).toBe("x/inner.yaml");
    expect(flow.nodeCount).toBe(2);
  });

  test("lie relative to the file that names them", () => {
    const files = { "x/one.yaml": flowOf(sub("two.yaml")), "x/two.yaml": flowOf(exec("a")) };
    expect(checked(flowOf(sub("x/one.yaml")), files).nodeCount).toBe(3);
  });

  test.each(["/etc/flow.yaml", "../up.yaml", "x/../../up.yaml", "x/", ".", "a\\..\\b.yaml"])(
    "are not at %s",
    (file) => {
      expect(faultsOf(flowOf(sub(file)))[0]).toContain("below the folder of the outermost flow");
    },
  );

  test("are refused within themselves, with the way", () => {
    const files = { "a.yaml": flowOf(sub("b.yaml")), "b.yaml": flowOf(sub("a.yaml")) };
    expect(faultsOf(flowOf(sub("a.yaml")), files)).toEqual([
      "b.yaml: nodes[0].file: flows that are not within themselves, a.yaml → b.yaml → a.yaml",
    ]);
  });

  test("are refused when they are too deep, even when a file was seen on a shorter way", () => {
    const chain = (length: number): FlowFiles =>
      Object.fromEntries(
        Array.from({ length }, (_, at) => [
          `${at}.yaml`,
          at + 1 < length ? flowOf(sub(`${at + 1}.yaml`)) : flowOf(exec("a")),
        ]),
      );
    expect(faultsOf(flowOf(sub("0.yaml")), chain(MAX_FLOW_DEPTH - 1))).toEqual([]);
    expect(faultsOf(flowOf(sub("0.yaml")), chain(MAX_FLOW_DEPTH))[0]).toContain("8 deep at most");
    const short = flowOf({ ...sub("1.yaml"), id: "short" }, sub("0.yaml"));
    expect(faultsOf(short, chain(MAX_FLOW_DEPTH))[0]).toContain("8 deep at most");
  });

  test("cannot multiply without end", () => {
    const twice = (file: string) => flowOf(...Array.from({ length: 100 }, (_, at) => ({ ...sub(file), id: `s${at}` })));
    const files = { "1.yaml": twice("2.yaml"), "2.yaml": twice("3.yaml"), "3.yaml": flowOf(exec("a")) };
    expect(faultsOf(twice("1.yaml"), files)[0]).toContain("100000 nodes at most");
  });

  test("get the inputs that they have, of their types", () => {
    const faults = faultsOf(flowOf(sub("i.yaml", { size: "big", other: 1 })), { "i.yaml": inner });
    expect(faults).toEqual([
      'nodes[0].inputs.other: one of size, lang, the unknown input "other"',
      'nodes[0].inputs.size: a number, "big"',
    ]);
    expect(faultsOf(flowOf(sub("i.yaml", { size: "${run.id}" })), { "i.yaml": inner })).toEqual([]);
  });
});

test("a flow of twenty thousand nodes is checked in seconds", () => {
  const nodes = Array.from({ length: 20_000 }, (_, at) =>
    exec(`n${at}`, at === 0 ? [] : [`n${at - 1}`], { command: ["/bin/echo", "${nodes.n0.outcome}"] }),
  );
  nodes[0] = exec("n0");
  expect(checked(flowOf(...nodes)).depth).toBe(20_000);
}, 30_000);

test("a sandbox is for nodes that are processes", () => {
  const gate = { id: "g", kind: "gate", message: "?" };
  const model = { id: "m", kind: "infer", model: "/m", input: "/in", sandbox: "files" };
  expect(faultsOf(flowOf({ ...gate, sandbox: "strict" }, model))).toEqual([
    "nodes[0].sandbox: none, or a node of the kind exec, files, agent: only processes can be shut in, strict of a node of the kind gate",
    "nodes[1].sandbox: none, or a node of the kind exec, files, agent: only processes can be shut in, files of a node of the kind infer",
  ]);
  expect(faultsOf(flowOf({ ...gate, sandbox: "none" }, exec("e", [], { sandbox: "strict" })))).toEqual([]);
});

describe("the outputs of a flow", () => {
  const sub = { id: "sub", kind: "flow", file: "i.json" };
  const inner = (outputs?: object) => ({
    ...flowOf(exec("a", [], { output: { name: "o" } }), exec("b")),
    ...(outputs && { outputs }),
  });
  const faultsWith = (outer: unknown[], outputs?: object) =>
    faultsOf(flowOf(sub, ...outer), { "i.json": inner(outputs) });

  test("name nodes of it that are there, and what those have", () => {
    expect(faultsWith([], { file: "${nodes.a.output}", both: "${nodes.a.outcome + nodes.b.outcome}" })).toEqual([]);
    expect(faultsWith([], { x: "${nodes.c.output}", y: "${nodes.b.output}", z: "${inputs.n}", w: "${" })).toEqual([
      expect.stringMatching(/^i\.json: outputs\.x: a node of the flow: one of a, b .*, the unknown node "c" in /),
      expect.stringMatching(/^i\.json: outputs\.y: of the node b one of outcome, exit_code, "output" in /),
      expect.stringMatching(/^i\.json: outputs\.z: no inputs: the flow has none, the unknown input "n" in /),
      expect.stringMatching(/^i\.json: outputs\.w: /),
    ]);
  });

  test("are what the flow around it may name of it", () => {
    const use = (expression: string) => exec("use", ["sub"], { command: ["x", `\${${expression}}`] });
    const outputs = { file: "${nodes.a.output}" };
    for (const good of ["result.file", 'result["file"]', "output", "sha256", "files.total"])
      expect(faultsWith([use(`nodes.sub.${good}`)], outputs)).toEqual([]);
    expect(faultsWith([use("nodes.sub.result.fiel")], outputs)).toEqual([
      'nodes[1].command[1]: of the outputs of the node sub file (did you mean "file"?), the unknown output "fiel" in "nodes.sub.result.fiel"',
    ]);
    expect(faultsWith([use("nodes.sub.result.file")])).toEqual([
      'nodes[1].command[1]: outputs in the flow of the node sub, which has none, "result" in "nodes.sub.result.file"',
    ]);
  });
});

describe("an agent's folder and output", () => {
  const faultsOf = (more: object) => {
    const checked = checkFlow({ version: 1, name: "f", nodes: [{ id: "a", kind: "agent", prompt: "x", ...more }] });
    return checked.kind === "faulty" ? checked.faults.map(({ where, expected }) => `${where}: ${expected}`) : [];
  };

  test("are paths that say where they lead", () => {
    for (const folder of ["/repo", "${run.folder}", { path: "/repo/${run.id}", writable: true }])
      expect(faultsOf({ folder })).toEqual([]);
    for (const file of ["report.md", "out/${run.id}.md", "a..b/..c"])
      expect(faultsOf({ output: { file } })).toEqual([]);
    for (const folder of ["repo", "../repo", ""]) {
      const expected = "an absolute path, or an expression that yields one";
      expect(faultsOf({ folder: { path: folder } })).toEqual([`nodes[0].folder.path: ${expected}`]);
    }
    for (const file of ["/etc/hosts", "../x", "a/../b", "..", ""]) {
      const expected = "a path below the folder that it works in, without .. parts";
      expect(faultsOf({ output: { file } })).toEqual([`nodes[0].output.file: ${expected}`]);
    }
  });

  test("name what is there", () => {
    expect(faultsOf({ folder: "${inputs.repo}", output: { file: "${nodes.b.sha256}" } }).join("\n")).toMatch(
      /nodes\[0\]\.output\.file: [^]*nodes\[0\]\.folder\.path: /,
    );
  });
});
