/** The flow files of the examples and the pages are ones that Headroom takes, and the page about them has every key. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { sandboxLevels } from "../../src/contract/allow.ts";
import { checkFlow } from "../../src/contract/flow-check.ts";
import { knownFlowKeys } from "../../src/contract/flow-json-schema.ts";
import { edgeRules, nodeFields, nodeKinds } from "../../src/contract/flows.ts";
import { loadFlowFile } from "../../src/platform/flow/flow-file.ts";
import { policyFaults } from "../../src/platform/flow/flow-policy-gate.ts";

const root = join(import.meta.dirname, "../..");
const examples = readdirSync(join(root, "examples/flows"), { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".yaml"),
);
const page = readFileSync(join(root, "docs/flows.md"), "utf8");
const cells = page
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .map((line) => line.split("|"));

test.each(examples)("examples/flows/%s is valid, and bounded in time", async (name) => {
  const loaded = await loadFlowFile(join(root, "examples/flows", name));
  expect(loaded.kind === "valid" ? [] : loaded.faults).toEqual([]);
  if (loaded.kind === "valid")
    expect(policyFaults(loaded.flow, { limits: { total_seconds: 100_000, nodes: 2_000 } })).toEqual([]);
});

describe("docs/flows.md", () => {
  test("has flows that are valid", () => {
    const all = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((block) => block[1] ?? "");
    // The others are parts of a configuration.
    const blocks = all.filter((block) => block.includes("nodes:"));
    expect(blocks.length).toBeGreaterThan(0);
    for (const block of blocks) expect(checkFlow(parse(block)).kind).toBe("valid");
  });

  test("has every key, kind, rule, field and level", () => {
    const first = cells.flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ""));
    const all = cells.flat().join(" ");
    const ofKind = (kind: string) => knownFlowKeys({ nodes: [{ kind }] }, ["nodes", 0]).filter((key) => key !== "kind");
    const common = nodeKinds.map(ofKind).reduce((keys, others) => keys.filter((key) => others.includes(key)));
    expect(first).toEqual(expect.arrayContaining([...knownFlowKeys({}, []), ...common, ...nodeKinds, ...edgeRules]));
    expect(first).toEqual(expect.arrayContaining(nodeFields.map((name) => `nodes.ID.${name}`)));
    for (const name of [...nodeKinds.flatMap(ofKind), ...sandboxLevels]) expect(all).toContain(`\`${name}\``);
  });
});
