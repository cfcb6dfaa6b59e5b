import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, describe, expect, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import { checkFlow } from "../../../src/contract/flow-check.ts";
import { makeTempFolder, type TempFolder } from "../../support/temp-folder.ts";

const root = join(import.meta.dirname, "../../..");
const folders: TempFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder[Symbol.dispose]();
});

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = makeTempFolder();
  folders.push(folder);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  }
  return folder.path;
}

async function run(cwd: string, ...argv: string[]) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const env = { PATH: process.env["PATH"] };
  const code = await main(argv, { stdin: new PassThrough(), stdout, stderr, env, cwd });
  const textOf = (stream: PassThrough) => String((stream.read() as Buffer | null) ?? "");
  return { code, out: textOf(stdout), err: textOf(stderr) };
}

const text = `version: 1
name: demo
inputs: { folder: {}, n: { type: number, default: 3 } }
nodes:
  - { id: list, kind: exec, command: [ls, "\${inputs.folder}", "\${run.id}"], output: { name: l.json, json: true } }
  - id: each
    kind: exec
    needs: [list]
    when: inputs.n > 2
    foreach: nodes.list.result
    command: [/bin/echo, "\${item}"]
  - { id: fix, kind: gate, needs: [{ node: each, on: failure }], message: 'say "yes" <b>' }
  - { id: end, kind: flow, needs: [{ node: each, on: always }, list], file: sub/x.yaml }
`;
const sub = "version: 1\nname: sub\nnodes:\n  - { id: a, kind: exec, command: [/bin/true] }\n";
const files = { "flow.yaml": text, "sub/x.yaml": sub };

describe("headroom run --flow", () => {
  test("--plan-only draws kinds, rules, conditions and lists as a tree", async () => {
    const { code, out } = await run(folderWith(files), "run", "--flow", "flow.yaml", "--plan-only");
    expect(code).toBe(0);
    expect(out).toBe(`demo: 5 nodes, 3 deep, 2 wide
list  exec   ls '\${inputs.folder}' '\${run.id}'
└─ each  exec   /bin/echo '\${item}'
   │    when inputs.n > 2
   │    for each of nodes.list.result
   ├─ fix  gate   on failure  say "yes" <b>
   └─ end  flow   always  sub/x.yaml (1 node)
           also after list
`);
  });

  test("--plan-only draws for Mermaid and Graphviz, with what is no part of their languages escaped", async () => {
    const folder = folderWith(files);
    const mermaid = await run(folder, "flow", "plan", "flow.yaml", "--format", "mermaid");
    expect(mermaid.out).toContain('n2{"fix (gate)<br/>say #34;yes#34; #60;b#62;"}');
    expect(mermaid.out).toContain('n1 -. "on failure" .-> n2');
    const dot = await run(folder, "flow", "plan", "flow.yaml", "--format", "dot");
    expect(dot.out).toContain('"fix" [label="fix (gate)\\nsay \\"yes\\" <b>", shape=octagon');
    expect(dot.out).toContain('"each" -> "end" [label="always"');
    const svg = await run(folder, "flow", "plan", "flow.yaml", "--format", "svg");
    expect(svg.out).toContain("<svg ");
    expect(svg.out.match(/<g id="node\d+" class="node">/g)).toHaveLength(4);
    expect(svg.out).toContain("say &quot;yes&quot; &lt;b&gt;");
  });

  test("--format json is the plan, which is the same when it is read back", async () => {
    const { out } = await run(folderWith(files), "run", "--flow", "flow.yaml", "--plan-only", "--format", "json");
    const plan = JSON.parse(out) as { flow: unknown; files: Record<string, unknown> };
    expect(checkFlow(plan.flow, plan.files).kind).toBe("valid");
    const again = folderWith({
      "p.json": JSON.stringify(plan.flow),
      "sub/x.yaml": JSON.stringify(plan.files["sub/x.yaml"]),
    });
    expect((await run(again, "flow", "plan", "p.json", "--format", "json")).out).toBe(out);
  });

  test("knows profiles from the configuration: others are refused with their place, and their memory counts", async () => {
    const node = (id: string, more: string) => `  - { id: ${id}, kind: exec, command: [/bin/true]${more} }\n`;
    const head = "version: 1\nname: x\nnodes:\n";
    const folder = folderWith({
      "flow.yaml": `${head}${node("a", ", profile: heavy")}  - { id: b, kind: flow, file: sub/x.yaml }\n`,
      "sub/x.yaml": `${head}${node("c", ", profile: havy")}`,
      "light.yaml": `${head}${node("a", ", profile: heavy, resources: { memory: 1GiB }")}`,
      "none.yaml": "allow: { limits: { memory: 1GiB } }\n",
      "headroom.yaml": "profiles: { heavy: { memory: 8GiB } }\nallow: { limits: { memory: 1GiB } }\n",
    });
    const validate = (...argv: string[]) => run(folder, "validate", ...argv);
    const unknown = await validate("flow.yaml", "--config", "none.yaml");
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain("flow.yaml:4: nodes[0].profile: expected a profile that is declared: default");
    expect(unknown.err).toContain("sub/x.yaml:4: nodes[0].profile");
    const misspelt = await validate("flow.yaml", "--config", "headroom.yaml");
    expect(misspelt.err).toContain(
      "sub/x.yaml:4: nodes[0].profile: expected a profile that is declared: one of default, heavy",
    );
    writeFileSync(join(folder, "sub/x.yaml"), `${head}${node("c", "")}`);
    const large = await validate("flow.yaml", "--config", "headroom.yaml");
    expect(large.err).toMatch(
      /nodes\[0\]\.profile: expected 1073741824 bytes at most .*found 8589934592 by the profile heavy/s,
    );
    expect((await validate("light.yaml", "--config", "headroom.yaml")).code).toBe(0);
    // A gate takes nothing, and a flow what its own nodes take.
    const small = "resources: { memory: 64MiB }";
    writeFileSync(join(folder, "sub/x.yaml"), `${head}${node("c", `, ${small}`)}`);
    const gate = "  - { id: g, kind: gate, message: on? }\n  - { id: b, kind: flow, file: sub/x.yaml }\n";
    writeFileSync(join(folder, "gate.yaml"), `${head}${node("a", `, ${small}`)}${gate}`);
    const all = "profiles: { default: { memory: 2GiB } }\nallow: { limits: { memory: 1GiB } }\n";
    writeFileSync(join(folder, "default.yaml"), all);
    expect(await validate("gate.yaml", "--config", "default.yaml")).toMatchObject({ code: 0, err: "" });
  });

  test("--dry-run and validate look at the programs of agents as at other binaries", async () => {
    const flow = 'version: 1\nname: f\nnodes:\n  - { id: a, kind: agent, prompt: "say ${run.id}", max_turns: 3 }\n';
    const agents = 'agents: { default: { command: [/bin/false, -p, "{prompt}", "{max_turns}"] } }\n';
    const config = (binary: string) => `${agents}allow: { binaries: [${binary}] }\n`;
    const folder = folderWith({ "f.yaml": flow, "no.yaml": config("/bin/echo"), "yes.yaml": config("/bin/false") });
    const refused = await run(folder, "run", "--flow", "f.yaml", "--dry-run", "--config", "no.yaml");
    expect(refused.code).not.toBe(0);
    expect(refused.out).toContain("refused by allow.binaries at nodes[0].program");
    expect((await run(folder, "validate", "f.yaml", "--config", "no.yaml")).code).not.toBe(0);
    const allowed = await run(folder, "run", "--flow", "f.yaml", "--dry-run", "--config", "yes.yaml");
    expect([allowed.code, allowed.err]).toEqual([0, ""]);
    expect(allowed.out).toContain("/bin/false -p 'say ${run.id}' 3");
    expect((await run(folder, "validate", "f.yaml", "--config", "yes.yaml")).code).toBe(0);
  });

  test("--plan-only and --dry-run tell what a flow and the flows in it come to, and the plan has it", async () => {
    const own = "outputs: { folder: '${inputs.folder}/x', code: '${nodes.end.result.code}' }\nnodes:";
    const inner = `${sub}outputs: { code: "\${nodes.a.exit_code}" }\n`;
    const folder = folderWith({ "flow.yaml": text.replace("nodes:", own), "sub/x.yaml": inner });
    const drawn = await run(folder, "run", "--flow", "flow.yaml", "--plan-only");
    expect(drawn.out).toContain("sub/x.yaml (1 node) → code\n");
    expect(drawn.out).toMatch(/\n→ folder = \$\{inputs\.folder\}\/x\n→ code = \$\{nodes\.end\.result\.code\}\n$/);
    const dry = await run(folder, "run", "--flow", "flow.yaml", "--set", "folder=/data", "--dry-run");
    expect(dry.out).toContain("→ folder = /data/x\n→ code = ${nodes.end.result.code}\n");
    const json = await run(folder, "run", "--flow", "flow.yaml", "--plan-only", "--format", "json");
    expect(JSON.parse(json.out)).toMatchObject({ flow: { outputs: { folder: "${inputs.folder}/x" } } });
    const wrong = await run(
      folderWith({ "flow.yaml": text.replace("nodes:", own), "sub/x.yaml": sub }),
      ...["validate", "flow.yaml"],
    );
    expect(wrong.code).not.toBe(0);
    expect(wrong.err).toContain(
      "flow.yaml:4: outputs.code: expected outputs in the flow of the node end, which has none",
    );
  });

  test("--dry-run fills in what is known, finds binaries, and starts nothing", async () => {
    const folder = folderWith(files);
    const { code, out } = await run(
      folder,
      "run",
      "--flow",
      "flow.yaml",
      "--set",
      "folder=/data x",
      "--dry-run",
      "--json",
    );
    expect(code).toBe(0);
    const { nodes } = JSON.parse(out) as { nodes: { id: string; command: string[] | null }[] };
    expect(nodes.map(({ id }) => id)).toEqual(["list", "each", "fix", "end", "end/a"]);
    expect(nodes[0]?.command?.[0]).toMatch(/^\/.*\/ls$/);
    expect(nodes[0]?.command?.slice(1)).toEqual(["/data x", "${run.id}"]);
    const text = await run(folder, "run", "--flow", "flow.yaml", "--set", "folder=/data", "--dry-run");
    expect(text.out).toContain("after each (on failure)");
    expect(text.out).toMatch(/5 nodes would run; plan [0-9a-f]{64}\n$/);
  });

  test("--dry-run tells a binary that is not there, and what the policy refuses at which node", async () => {
    const folder = folderWith({ ...files, "c.yaml": "allow: { binaries: [/bin/echo], limits: { depth: 1 } }\n" });
    const missing = { "flow.yaml": text.replace("[ls,", "[no-such-program,"), "sub/x.yaml": sub };
    const gone = await run(folderWith(missing), "run", "--flow", "flow.yaml", "--set", "folder=/", "--dry-run");
    expect(gone.code).toBe(1);
    expect(gone.out).toContain("would not start");
    const { code, out, err } = await run(
      folder,
      "run",
      "--flow",
      "flow.yaml",
      "--set",
      "folder=/",
      "--dry-run",
      "-c",
      "c.yaml",
    );
    expect(code).toBe(2);
    expect(out).toContain("refused by allow.binaries at nodes[0].command[0]");
    expect(out).toContain("refused by allow.binaries at sub/x.yaml: nodes[0].command[0]");
    expect(out).toContain("refused by allow.limits.depth: 4");
    expect(err).toContain("3 things that are not allowed here");
  });

  test.each([
    [["--set", "folder"], "--set: expected NAME=VALUE"],
    [["--set", "fodler=/x"], 'did you mean "folder"?'],
    [["--set", "n=many"], "--set n: expected a number"],
    [["--format", "png"], "--format: expected one of tree, json, mermaid, dot, svg"],
    [["--input", "x"], "no files and no command beside it"],
    [["--from", "each"], "--from without --resume"],
    [[], "--set folder: expected a text, found nothing"],
  ])("%j is refused", async (argv, message) => {
    const { code, err } = await run(folderWith(files), "run", "--flow", "flow.yaml", "--dry-run", ...argv);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });

  test("runs the flow, fails with it, and runs again what had failed once that is mended", async () => {
    const flow = `version: 1
name: mends
nodes:
  - { id: first, kind: exec, command: [printf, hello], output: { name: first.txt } }
  - id: needs-it
    kind: exec
    needs: [first]
    command: [cat, "\${nodes.first.output}", "\${run.folder}/../mended"]
    output: { name: both.txt }
    retry: { exit: { attempts: 1 } }
  - { id: after, kind: exec, needs: [needs-it], command: [wc, -c, '\${nodes["needs-it"].output}'], output: { name: n.txt } }
`;
    const folder = folderWith({ "flow.yaml": flow });
    const place = ["--home", join(folder, "home")];
    const again = (id: string, ...more: string[]) => run(folder, "run", "--resume", id, ...place, ...more);
    const broken = await run(folder, "run", "--flow", "flow.yaml", ...place, "--json");
    const { id, files: counts } = JSON.parse(broken.out) as { id: string; files: object };
    expect([broken.code, counts]).toMatchObject([1, { succeeded: 1, failed: 1, skipped: 1 }]);
    writeFileSync(join(folder, "runs/mended"), "!");
    const mended = await again(id);
    expect(mended.code).toBe(0);
    expect(mended.out).toContain("3 nodes succeeded");
    expect(mended.out).toContain("1 file unchanged since the last time");
    const [of = ""] = readdirSync(join(folder, "runs")).filter((name) => name.endsWith(id));
    expect(readFileSync(join(folder, "runs", of, "artifacts/needs-it/both.txt"), "utf8")).toBe("hello!");
    expect(readFileSync(join(folder, "runs", of, "artifacts/after/n.txt"), "utf8")).toMatch(/^6 /);
    expect(mended.out).toContain(join("runs", of, "report.md"));
    // The file is mended in turn: what it did not change is not run again.
    writeFileSync(join(folder, "flow.yaml"), flow.replace("[wc, -c,", "[wc, -m,"));
    const changed = await again(id, "--flow", "flow.yaml");
    expect([changed.code, changed.out]).toEqual([0, expect.stringContaining("2 files unchanged")]);
    const other = await again(id, "--flow", "flow.yaml", "--set", "no=1");
    expect([other.code, other.err]).toEqual([2, expect.stringContaining("--set no: expected no inputs")]);
    expect((await again(id, "--from", "nobody")).err).toContain("--from: expected one of");
  });

  test("a node starts as often as the limits of the configuration leave, when it is tried again too", async () => {
    const [flow, config] = ["version: 1\nname: f\nnodes:\n", "allow: { limits: { attempts: 1 } }\n"];
    const node = `  - { id: a, kind: exec, command: [/bin/sh, -c, 'echo "$0" >> tried; exit 1', "\${run.id}"] }\n`;
    const folder = folderWith({ "headroom.yaml": config });
    const tried = join(folder, "tried");
    writeFileSync(join(folder, "flow.yaml"), `${flow}${node.replace("tried", tried)}`);
    const more = ["--home", join(folder, "home"), "--config", "headroom.yaml"];
    const { code, out } = await run(folder, "run", "--flow", "flow.yaml", "--json", ...more);
    const { id } = JSON.parse(out) as { id: string };
    expect([code, readFileSync(tried, "utf8")]).toEqual([1, `${id}\n`]);
    expect((await run(folder, "run", "--resume", id, ...more)).code).toBe(1);
    expect(readFileSync(tried, "utf8")).toBe(`${id}\n${id}\n`);
  });
});

describe("headroom validate", () => {
  test("is 0 for a good file and 2 for a bad one, with every fault", async () => {
    const folder = folderWith({
      ...files,
      "bad.yaml": text.replace("[list]", "[lits]").replace("/bin/echo", '"${nope}"'),
    });
    expect(await run(folder, "validate", "flow.yaml")).toEqual({ code: 0, out: "flow.yaml is valid\n", err: "" });
    const { code, err } = await run(folder, "flow", "validate", "bad.yaml");
    expect(code).toBe(2);
    expect(err).toContain("\n  bad.yaml:8: nodes[1].needs[0]");
    expect(err).toContain("bad.yaml:11: nodes[1].command[0]");
  });

  test("prints JSON either way", async () => {
    const folder = folderWith({ ...files, "bad.yaml": "nodes: 1\n" });
    const good = JSON.parse((await run(folder, "validate", "flow.yaml", "--json")).out) as object;
    expect(good).toMatchObject({ valid: true, nodes: 5, depth: 3, width: 2, faults: [] });
    const bad = await run(folder, "validate", "bad.yaml", "--json");
    expect([bad.code, (JSON.parse(bad.out) as { valid: boolean }).valid]).toEqual([2, false]);
  });

  test("takes every example", async () => {
    for (const name of ["digests", "fan-out", "nested"]) {
      expect((await run(root, "flow", "validate", `examples/flows/${name}.yaml`)).code).toBe(0);
    }
  });

  test("schema prints what editors take", async () => {
    const { out } = await run(root, "flow", "schema");
    expect(JSON.parse(out)).toMatchObject({ title: "Headroom flow", type: "object" });
  });
});
