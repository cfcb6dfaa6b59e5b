import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { checkFlow } from "../../../../src/contract/flow-check.ts";
import { parseRunSpec } from "../../../../src/contract/run-request.ts";
import { policyFaults } from "../../../../src/platform/flow/flow-policy-gate.ts";
import { PolicyGate } from "../../../../src/platform/policy-gate.ts";
import { makeTempFolder } from "../../../support/temp-folder.ts";

function folder(): string {
  const made = makeTempFolder();
  onTestFinished(() => {
    made[Symbol.dispose]();
  });
  return made.path;
}

const sha256 = "a".repeat(64);

test("the rule over models decides about models of runs in place of read, and their digests are pinned", () => {
  const root = folder();
  for (const name of ["models", "models/a", "data"]) mkdirSync(join(root, name));
  const gate = new PolicyGate({ read: [join(root, "data")], models: [{ path: join(root, "models"), sha256 }] });
  const spec = (model: string) =>
    parseRunSpec({
      ...{ version: 1, executor: "infer", command: [model] },
      input: { kind: "tree", root: join(root, "data") },
      output: { root: join(root, "out"), from: "results" },
    });
  const decision = gate.decide(spec(join(root, "models/a")));
  expect(decision).toMatchObject({ kind: "allowed", pins: [{ binary: join(root, "models/a"), sha256: [sha256] }] });
  expect(gate.decide(spec(join(root, "data")))).toMatchObject({ kind: "refused", faults: [{ where: "command[0]" }] });
});

test("inputs that are known by then are text, but for the binary", () => {
  const root = folder();
  mkdirSync(join(root, "data"));
  const written = {
    version: 1,
    name: "f",
    inputs: { folder: {}, tool: {} },
    nodes: [{ id: "a", kind: "files", command: ["${inputs.tool}"], input: "${inputs.folder}" }],
  };
  const checked = checkFlow(written);
  if (checked.kind === "faulty") throw new TypeError("expected a flow");
  const allow = { read: [join(root, "data")], binaries: [{ path: "/bin/true" }] };
  const rulesFor = (inputs: Record<string, string>) =>
    policyFaults(checked.flow, allow, { inputs }).map(({ rule }) => rule);
  expect(rulesFor({ folder: join(root, "data"), tool: "/bin/true" })).toEqual(["allow.binaries"]);
  expect(rulesFor({ folder: "/etc", tool: "/bin/true" })).toEqual(["allow.binaries", "allow.read"]);
  expect(rulesFor({})).toEqual(["allow.binaries", "allow.read"]);
});

test("the working folder of an agent is judged where the flow is checked, with the rule and the place", () => {
  const root = folder();
  for (const name of ["read", "write", "secret"]) mkdirSync(join(root, name));
  symlinkSync(join(root, "secret"), join(root, "read/link"));
  const allow = { read: [join(root, "read"), join(root, "write")], write: [join(root, "write")] };
  const refused = (written: unknown) => {
    const node = { id: "a", kind: "agent", prompt: "x", folder: written };
    const checked = checkFlow({ version: 1, name: "f", inputs: { repo: {} }, nodes: [node] });
    if (checked.kind === "faulty") return checked.faults.map(({ where }) => where);
    const inputs = { repo: join(root, "read") };
    return policyFaults(checked.flow, allow, { inputs }).map(({ rule, where }) => `${rule} ${where}`);
  };
  expect(refused("${inputs.repo}")).toEqual([]);
  expect(refused({ path: join(root, "write"), writable: true })).toEqual([]);
  expect(refused({ path: "${inputs.repo}", writable: true })).toEqual(["allow.write nodes[0].folder.path"]);
  expect(refused({ path: join(root, "secret"), writable: true })).toEqual([
    "allow.read nodes[0].folder.path",
    "allow.write nodes[0].folder.path",
  ]);
  for (const path of [
    join(root, "secret"),
    join(root, "read/link"),
    `${root}/read/../secret`,
    "${inputs.repo}/../secret",
  ])
    expect(refused(path), path).toEqual(["allow.read nodes[0].folder.path"]);
  expect(refused("repo")).toEqual(["nodes[0].folder"]);
});
