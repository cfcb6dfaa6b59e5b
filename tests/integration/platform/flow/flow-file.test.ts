import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { checkFlow } from "../../../../src/contract/flow-check.ts";
import { canonicalJson, planOf } from "../../../../src/contract/flow-plan.ts";
import { loadFlowFile } from "../../../../src/platform/flow/flow-file.ts";
import { planHash } from "../../../../src/platform/flow/plan-hash.ts";
import { makeTempFolder, type TempFolder } from "../../../support/temp-folder.ts";

const folders: TempFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder[Symbol.dispose]();
});

async function loaded(files: Readonly<Record<string, string>>, name = "flow.yaml") {
  const made = makeTempFolder();
  folders.push(made);
  const folder = made.path;
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const result = await loadFlowFile(join(folder, name));
  const faults = result.kind === "valid" ? [] : result.faults;
  const told = faults.map(({ where, expected, found }) =>
    `${where}: ${expected}, ${found}`.replaceAll(`${folder}/`, ""),
  );
  return { result, told, folder };
}

const head = "version: 1\nname: f\nnodes:\n";
const one = `${head}  - { id: a, kind: exec, command: [/bin/true] }\n`;

describe("a flow file", () => {
  test("is YAML or JSON, and the same plan in both", async () => {
    const yaml = await loaded({
      "flow.yaml": `${head}  - id: b\n    needs: [a]\n    kind: gate\n    message: ok?\n  - { id: a, kind: exec, command: [/bin/true] }\n`,
    });
    const written = {
      name: "f",
      version: 1,
      nodes: [
        { kind: "exec", id: "a", command: ["/bin/true"], needs: [] },
        { id: "b", kind: "gate", needs: [{ node: "a", on: "success" }], message: "ok?" },
      ],
    };
    const json = await loaded({ "flow.json": JSON.stringify(written) }, "flow.json");
    if (yaml.result.kind !== "valid" || json.result.kind !== "valid")
      throw new TypeError([...yaml.told, ...json.told].join());
    expect(planHash(yaml.result.flow)).toBe(planHash(json.result.flow));
    expect(canonicalJson(planOf(yaml.result.flow))).toBe(canonicalJson(planOf(json.result.flow)));
  });

  test("is the same byte for byte when its plan is read back", async () => {
    const { result, told } = await loaded({
      "flow.yaml": `${head}  - { id: s, kind: flow, file: sub/x.yaml }\n  - { id: a, kind: exec, command: [/bin/true], needs: [s], timeout_seconds: 1m, resources: { memory: 1GiB } }\n`,
      "sub/x.yaml": one,
    });
    if (result.kind !== "valid") throw new TypeError(told.join());
    const text = canonicalJson(planOf(result.flow));
    const { flow, files } = JSON.parse(text) as { flow: unknown; files: Record<string, unknown> };
    const again = checkFlow(flow, files);
    if (again.kind !== "valid") throw new TypeError("expected the plan to be valid");
    expect(canonicalJson(planOf(again.flow))).toBe(text);
    expect(planHash(again.flow)).toBe(planHash(result.flow));
  });

  test("tells the line of each fault, in the file that has it", async () => {
    const { told } = await loaded({
      "flow.yaml": `${head}  - id: a\n    kind: exec\n    command: [/bin/echo, "\${inputs.x}"]\n  - id: s\n    kind: flow\n    file: sub/x.yaml\n    needs: [b]\n`,
      "sub/x.yaml": `${head}  - id: a\n    kind: exec\n    comand: [x]\n`,
    });
    expect(told).toEqual([
      'flow.yaml:10: nodes[1].needs[0]: a node of the flow: a, s (did you mean "a"?), the unknown node "b"',
      'flow.yaml:6: nodes[0].command[1]: no inputs: the flow has none, the unknown input "x" in "inputs.x"',
      "sub/x.yaml:4: nodes[0].command: a list, nothing",
      'sub/x.yaml:6: nodes[0].comand: a known key (did you mean "command"?), the unknown key "comand"',
    ]);
  });

  test("tells where YAML is broken", async () => {
    expect((await loaded({ "flow.yaml": "version: 1\nname: [" })).told[0]).toMatch(/^flow\.yaml:2:\d+: valid YAML/);
  });

  test("has each key once", async () => {
    expect((await loaded({ "flow.yaml": `${one}name: g\n` })).told).toEqual([
      'flow.yaml:5:1: valid YAML, Map keys must be unique: "name"',
    ]);
  });

  test.each([
    [
      "aliases of aliases",
      `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from(
        { length: 9 },
        (_, at) =>
          `b${at}: &b${at} [${Array(9)
            .fill(at === 0 ? "*a" : `*b${at - 1}`)
            .join()}]`,
      ).join("\n")}\n`,
      "100 aliases at most",
    ],
    ["brackets without end", "[".repeat(200_000), "valid YAML"],
    ["a prototype", `${one}__proto__: { x: 1 }\n`, "names other than __proto__"],
    ["a long file", `${one}# ${"x".repeat(9_000_000)}`, "8388608 bytes at most"],
    ["many keys", Array.from({ length: 200_000 }, (_, at) => `k${at}: 1`).join("\n"), "the flow"],
    ["nothing", "", "a mapping"],
  ])(
    "with %s is refused",
    async (_name, text, limit) => {
      const { told } = await loaded({ "flow.yaml": text });
      expect(told.join("\n")).toContain(limit);
    },
    30_000,
  );

  test("that is not there is a fault", async () => {
    expect((await loaded({}, "none.yaml")).told).toEqual(["none.yaml: a flow file that can be read, nothing there"]);
  });
});

describe("a flow file within another one", () => {
  const naming = (file: string) => `${head}  - { id: s, kind: flow, file: ${JSON.stringify(file)} }\n`;

  test("that is not there is told where it is named", async () => {
    const { told } = await loaded({ "flow.yaml": naming("gone.yaml") });
    expect(told).toEqual(["gone.yaml: a flow file that can be read, nothing there"]);
  });

  test("may not be reached by a link that leaves the folder", async () => {
    const { folder } = await loaded({ "secret.yaml": one }, "secret.yaml");
    const inner = join(folder, "flows");
    mkdirSync(inner);
    symlinkSync(join(folder, "secret.yaml"), join(inner, "link.yaml"));
    writeFileSync(join(inner, "flow.yaml"), naming("link.yaml"));
    const result = await loadFlowFile(join(inner, "flow.yaml"));
    expect(result.kind === "faulty" && result.faults[0]?.found).toMatch(/expected a path inside/);
  });

  test("may not be within itself", async () => {
    const { told } = await loaded({ "flow.yaml": naming("b.yaml"), "b.yaml": naming("flow.yaml") });
    expect(told).toEqual([
      "b.yaml:4: nodes[0].file: flows that are not within themselves, flow.yaml → b.yaml → flow.yaml",
    ]);
  });
});
