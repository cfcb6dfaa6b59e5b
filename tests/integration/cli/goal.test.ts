import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import { makeFakeClaude, SECRET } from "../../support/fake-claude.ts";
import { planOf } from "../../support/plan-texts.ts";
import { Scratch } from "../../support/scratch.ts";

const good = JSON.stringify(planOf("/usr/bin/env", "say hello"));
// Without the last, a plan runs where there is bubblewrap alone.
const allow = { binaries: ["/usr/bin/env"], network: true };

/** The command line in this process, with a planner that says the answers in turn. */
function openCommandLine(answers: readonly string[], config: object = { allow }) {
  const scratch = new Scratch();
  onTestFinished(() => {
    scratch[Symbol.dispose]();
  });
  scratch.file("answers/one/goal.txt", "hello");
  for (const [at, text] of answers.entries()) scratch.file(`answers/one/${at + 1}.txt`, text);
  const planners = { replay: { kind: "recorded", folder: "answers" } };
  scratch.file("c.json", JSON.stringify({ planners, ...config }));
  const home = `${scratch.path}/home`;
  const call = async (argv: readonly string[], { stdin, env = {} }: { stdin?: Readable; env?: object } = {}) => {
    let [stdout, stderr] = ["", ""];
    const code = await main(argv, {
      stdin: stdin ?? Readable.from([]),
      stdout: new Writable({ write: (chunk, _encoding, done) => (done(), (stdout += String(chunk))) }),
      stderr: new Writable({ write: (chunk, _encoding, done) => (done(), (stderr += String(chunk))) }),
      env: { PATH: process.env["PATH"], HEADROOM_HOME: home, ...env },
      cwd: scratch.path,
    });
    return { code, stdout, stderr };
  };
  const plan = (...more: string[]) => call(["run", "--goal", "hello", "-c", "c.json", ...more]);
  const ids = () => readdirSync(join(home, "plans"));
  return { scratch, home, call, plan, ids };
}

function terminal(text: string): PassThrough {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  stdin.end(text);
  return stdin;
}

describe("headroom run --goal", () => {
  test("tells each step, draws the plan and keeps it with all that led to it", async () => {
    const { plan, home, ids } = openCommandLine(["I will.", good]);
    const { code, stdout, stderr } = await plan("--plan-only");
    expect(code).toBe(0);
    expect(stderr).toContain(
      "call 1: refused\n  the answer: expected a plan: one JSON object with nodes, found no JSON object",
    );
    expect(stderr).toContain("call 2: accepted, 1 node");
    expect(stdout).toContain("say hello: 1 node");
    expect(stdout).toContain("planned by replay, prompt v2: 2 calls, 1 repair");
    const [id = ""] = ids();
    const folder = join(home, "plans", id);
    expect(readdirSync(folder).toSorted()).toEqual(["1.txt", "2.txt", "events.jsonl", "goal.txt", "plan.json"]);
    expect(readFileSync(join(folder, "1.txt"), "utf8")).toBe("I will.");
    const events = readFileSync(join(folder, "events.jsonl"), "utf8").trim().split("\n");
    expect(events.map((line) => (JSON.parse(line) as { kind: string }).kind)).toEqual([
      ...["asked", "answered", "refused"],
      ...["asked", "answered", "accepted"],
    ]);
  });

  test("is answered by what an earlier plan has left, with the same graph", async () => {
    const { plan, call, scratch, home } = openCommandLine(["I will.", good]);
    const first = JSON.parse((await plan("--plan-only", "--json")).stdout) as { plan: { graphSha256: string } };
    const replay = { planners: { again: { kind: "recorded", folder: `${home}/plans` } }, allow };
    scratch.file("again.json", JSON.stringify(replay));
    const again = await call(["run", "--goal", "hello", "-c", "again.json", "--plan-only", "--json"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ plan: { graphSha256: first.plan.graphSha256 } });
  });

  test("runs the plan that was accepted, and keeps it", async () => {
    const { plan, ids, scratch } = openCommandLine([good]);
    const { code, stdout } = await plan("--output", "runs");
    expect(code).toBe(0);
    expect(stdout).toContain("1 node succeeded");
    expect(ids()).toHaveLength(1);
    const [folder = ""] = readdirSync(join(scratch.path, "runs"));
    expect(readdirSync(join(scratch.path, "runs", folder))).toContain("report.md");
  });

  test("sends a binary that is not there back to the planner, with its place", async () => {
    const answers = [JSON.stringify(planOf("no-such-program")), good];
    const { plan } = openCommandLine(answers, { allow: { binaries: "any" } });
    const { code, stderr, stdout } = await plan("--plan-only");
    expect(code).toBe(0);
    expect(stderr).toContain('nodes[0].command[0]: expected "no-such-program" to be an executable file on the PATH');
    expect(stdout).toContain("2 calls, 1 repair");
  });

  test("refuses what is not allowed, and ends with 1", async () => {
    const evil = JSON.stringify(planOf("/bin/sh"));
    const { plan, ids, home } = openCommandLine([evil, evil, evil, evil]);
    const { code, stdout, stderr } = await plan();
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(
      'nodes[0].command[0]: expected a binary that allow.binaries names (/usr/bin/env), found "/bin/sh"',
    );
    expect(stderr).toContain("repairs: expected a plan without faults, found faults after 3 repairs");
    expect(readdirSync(join(home, "plans", ids()[0] ?? ""))).not.toContain("plan.json");
  });

  test("closes tools and network where the operator has said nothing", async () => {
    const nodes = [
      { id: "a", kind: "agent", prompt: "do it", tools: ["Bash"] },
      { id: "b", kind: "exec", command: ["/usr/bin/env"], network: true },
    ];
    const { plan } = openCommandLine([JSON.stringify({ version: 1, name: "x", nodes })], {
      allow: { binaries: allow.binaries },
    });
    const { stderr } = await plan("--budget-calls", "1");
    expect(stderr).toContain("nodes[0].tools[0]: expected a tool that allow.tools names (it names none)");
    expect(stderr).toContain("nodes[1].network: expected no network (allow.network)");
    expect(stderr).toContain("budget.calls: expected 1 call at most, found 1 made");
  });

  test("is only run where somebody has said which programs may", async () => {
    const { plan } = openCommandLine([good], {});
    expect(await plan()).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("allow.binaries: expected") as string,
    });
    expect(await plan("--plan-only")).toMatchObject({ code: 0 });
  });

  test("ends with 3 when the planner does not answer", async () => {
    const { call } = openCommandLine([good]);
    const ended = await call(["run", "--goal", "another", "-c", "c.json"]);
    expect(ended).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("no answer to this goal is recorded") as string,
    });
  });

  test("asks a program, and never shows its key", async () => {
    const { scratch, call, home } = openCommandLine([]);
    mkdirSync(`${scratch.path}/fake`);
    const ask = async (mood: "answer" | "is-error") => {
      const { settings } = makeFakeClaude(`${scratch.path}/fake`, mood, good);
      const claude = { kind: "claude-code", command: settings.command, budget: { calls: 1, usd: 1 } };
      scratch.file("claude.json", JSON.stringify({ planners: { claude }, allow }));
      const argv = ["run", "--goal", "hello", "-c", "claude.json", "--plan-only"];
      return call(argv, { env: { ANTHROPIC_API_KEY: SECRET } });
    };
    expect(await ask("answer")).toMatchObject({ code: 0, stdout: expect.stringContaining("$0.0125") as string });
    const failed = await ask("is-error");
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("Invalid API key ***") as string });
    const kept = readdirSync(`${home}/plans`, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(kept.length).toBeGreaterThan(4);
    for (const { parentPath, name } of kept) expect(readFileSync(join(parentPath, name), "utf8")).not.toContain(SECRET);
  });

  test("refuses options that say nothing about a goal, all in one go", async () => {
    const { call } = openCommandLine([]);
    const argv = ["run", "--goal", " ", "--plan", "x", "-i", "in", "--timeout", "3s", "--budget-usd", "1", "--", "ls"];
    const { code, stderr } = await call(argv);
    expect(code).toBe(2);
    for (const where of ["--goal", "--input", "--timeout", "--budget-usd", "command"])
      expect(stderr).toContain(`  ${where}: `);
    expect((await call(["run", "--approve", "--planner", "x"])).stderr).toContain(
      "--approve: expected --goal or --plan",
    );
    const bad = await call(["run", "--goal", "hello", "-c", "c.json", "--budget-calls", "0", "--budget-usd", "-1"]);
    expect(bad.stderr).toContain('--budget-calls: expected a whole number, 1 at least, found "0"');
    expect(bad.stderr).toContain("--budget-usd: expected an amount above 0");
    expect((await call(["run", "--goal", "x"])).stderr).toContain(
      "--planner: expected a planner in the section planners",
    );
  });
});

describe("--approve", () => {
  test.each([
    ["y\n", 0, "accepted, 1 node"],
    ["yes\n", 0, "accepted, 1 node"],
    ["n\n", 1, "not agreed to: nothing runs"],
    ["\n", 1, "not agreed to: nothing runs"],
    ["", 1, "not agreed to: nothing runs"],
    ["sure\n", 1, "not agreed to: nothing runs"],
  ])("takes %j from a person", async (text, code, said) => {
    const { call } = openCommandLine([good]);
    const ended = await call(["run", "--goal", "hello", "-c", "c.json", "--approve"], { stdin: terminal(text) });
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain("Run this plan? [y/N]");
    expect(ended.stderr).toContain(said);
    // All of it is shown, and not the drawing alone.
    expect(ended.stdout).toContain('"/usr/bin/env"');
  });

  test("keeps the plan and says how to go on where there is no terminal", async () => {
    const { plan, call, ids } = openCommandLine([good]);
    const { code, stderr } = await plan("--approve");
    const [id = ""] = ids();
    expect(code).toBe(0);
    expect(stderr).toContain(`nobody is at a terminal to agree: nothing runs; to run it: headroom run --plan ${id}`);
    const later = await call(["run", "--plan", id, "-c", "c.json", "--approve"], { stdin: terminal("n\n") });
    expect(later).toMatchObject({ code: 1, stdout: expect.stringContaining("say hello: 1 node") as string });
  });
});

describe("headroom run --plan", () => {
  async function kept() {
    const parts = openCommandLine([good]);
    await parts.plan("--plan-only");
    const [id = ""] = parts.ids();
    return { ...parts, id, path: join(parts.home, "plans", id, "plan.json") };
  }

  test("takes the same graph by its id and by its file, byte for byte", async () => {
    const { call, id, path, scratch } = await kept();
    const text = readFileSync(path, "utf8");
    scratch.file("copy.json", text);
    const graphs = new Set<string>();
    for (const name of [id, path, "copy.json"]) {
      const ended = await call(["run", "--plan", name, "-c", "c.json", "--json"]);
      const { plan, runId } = JSON.parse(ended.stdout) as { plan: { graph: unknown }; runId: string };
      expect(plan).toEqual(JSON.parse(text));
      const [folder = ""] = readdirSync(join(scratch.path, "runs")).filter((run) => run.endsWith(runId));
      graphs.add(readFileSync(join(scratch.path, "runs", folder, "plan.json"), "utf8"));
    }
    // What ran, as bytes; and it is the graph of the plan that was kept.
    expect(graphs.size).toBe(1);
    const graph = text.slice(text.indexOf('"graph":') + '"graph":'.length, text.indexOf(',"graphSha256"'));
    expect([...graphs]).toEqual([`{"files":{},"flow":${graph}}\n`]);
  });

  test("refuses a plan that was changed, in any of its parts", async () => {
    const { call, path } = await kept();
    const text = readFileSync(path, "utf8");
    const changes = [
      ["/usr/bin/env", "/usr/bin/evn"],
      ["say hello", "say hallo"],
      ['"calls":1', '"calls":2'],
      ['"goal":"hello"', '"goal":"other"'],
    ] as const;
    for (const [from, to] of changes) {
      writeFileSync(path, text.replace(from, to));
      const ended = await call(["run", "--plan", path, "-c", "c.json"]);
      expect(ended).toMatchObject({ code: 2, stdout: "" });
      expect(ended.stderr).toContain("expected the hash of its content");
    }
  });

  test("refuses a plan that the rules of today do not allow", async () => {
    const { call, id, scratch } = await kept();
    scratch.file("stricter.json", JSON.stringify({ allow: { binaries: ["/usr/bin/true"] } }));
    const ended = await call(["run", "--plan", id, "-c", "stricter.json"]);
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toContain("expected a binary that allow.binaries names (/usr/bin/true)");
  });

  test("tells what is no plan", async () => {
    const { call, scratch } = await kept();
    scratch.file("no.json", "{");
    scratch.file("other.json", '{"version":1}');
    expect((await call(["run", "--plan", "nothing0", "-c", "c.json"])).stderr).toContain(
      "found nothing called nothing0",
    );
    expect((await call(["run", "--plan", "no.json", "-c", "c.json"])).stderr).toContain("no.json:1:2: expected JSON");
    expect((await call(["run", "--plan", "other.json", "-c", "c.json"])).stderr).toContain(
      "other.json: graph: expected",
    );
  });
});

describe("headroom run --plan RUN", { timeout: 120_000 }, () => {
  test("runs the flow of an earlier run once more, with its inputs unless others are set", async () => {
    const { call, scratch } = openCommandLine([]);
    scratch.file(
      "flow.json",
      JSON.stringify({
        ...{ version: 1, name: "greet", inputs: { who: {}, word: { default: "hi" } } },
        nodes: [
          { id: "say", kind: "exec", command: ["echo", "${inputs.word} ${inputs.who}"], output: { name: "said" } },
        ],
      }),
    );
    const first = await call(["run", "--flow", "flow.json", "--set", "who=Ada", "--json"]);
    expect(first.code).toBe(0);
    const { id } = JSON.parse(first.stdout) as { id: string };
    // The plan is that of the run, not of the file.
    scratch.file("flow.json", "{");
    expect((await call(["run", "--plan", id, "--plan-only"])).stdout).toContain("greet: 1 node");
    const again = await call(["run", "--plan", id, "--set", "word=bye", "--json"]);
    const told = JSON.parse(again.stdout) as { runId: string; earlier: string; state: string };
    expect([again.code, told.earlier, told.state, told.runId === id]).toEqual([0, id, "succeeded", false]);
    const folders = readdirSync(join(scratch.path, "runs")).filter((name) => name.endsWith(told.runId));
    expect(readFileSync(join(scratch.path, "runs", folders[0] ?? "", "artifacts/say/said"), "utf8")).toBe("bye Ada\n");
    scratch.file("closed.json", JSON.stringify({ allow: { binaries: [] } }));
    const refused = await call(["run", "--plan", id, "-c", "closed.json"]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("allow.binaries")]);
    expect((await call(["run", "--plan", id, "--set", "wrod=x"])).stderr).toContain("--set wrod");
  });
});

describe("headroom eval", () => {
  test("passes on the scenarios of the package, offline", async () => {
    const { call } = openCommandLine([]);
    const { code, stdout } = await call(["eval"]);
    expect(stdout).toMatch(/^8 of 8 runs passed \(100 %\)/m);
    expect(stdout).toMatch(/^pass recover {2}1\/1/m);
    expect(code).toBe(0);
  });

  test("fails with what differs, and compares with an earlier report", async () => {
    const { call, scratch } = openCommandLine(["I will.", good]);
    const scenario = {
      version: 1,
      name: "hello",
      goal: "hello",
      allow,
      planner: { kind: "recorded", folder: "answers" },
    };
    scratch.file("s.yaml", JSON.stringify({ ...scenario, repeats: 2, expect: { nodes: ["only"], repairs: 1 } }));
    expect(await call(["eval", "s.yaml", "--output", "before.json"])).toMatchObject({ code: 0 });
    scratch.file("s.yaml", JSON.stringify({ ...scenario, expect: { nodes: ["other"], most: { calls: 1 } } }));
    const { code, stdout } = await call(["eval", "s.yaml", "--against", "before.json"]);
    expect(code).toBe(1);
    expect(stdout).toContain("FAIL hello  0/1  1/2 plans, 1 repairs, 2 calls");
    expect(stdout).toContain("run 1: nodes: expected other, found only");
    expect(stdout).toContain("run 1: most.calls: expected 1 at most, found 2");
    expect(stdout).toContain("hello: passed 100 % -> 0 %");
    const json = JSON.parse((await call(["eval", "s.yaml", "--json"])).stdout) as object;
    expect(json).toMatchObject({ total: { runs: 1, passed: 0, successRate: 0, planValidity: 0.5 } });
  });

  test("tells every fault of scenarios before anything is asked", async () => {
    const { call, scratch } = openCommandLine([]);
    scratch.file("bad/a.yaml", "version: 1\nname: a\ngoal: x\nflow: y\n");
    scratch.file("bad/b.yaml", "version: 1\nname: B\ngoal: x\nexpect: { node: [a] }\n");
    const { code, stderr } = await call(["eval", "bad"]);
    expect(code).toBe(2);
    expect(stderr).toContain("a.yaml: goal: expected either a goal or a flow, found both");
    expect(stderr).toContain('expect.node: expected a known key (did you mean "nodes"?)');
    expect((await call(["eval", resolve("/no/such")])).stderr).toContain(
      "expected a scenario or a folder of them, found nothing",
    );
    scratch.file("c.yaml", "version: 1\nname: c\ngoal: x\n");
    expect((await call(["eval", "c.yaml"])).stderr).toContain("--planner: expected a planner in the section planners");
  });

  test("checks flow files too", async () => {
    const { call, scratch } = openCommandLine([]);
    scratch.file("f.yaml", good);
    const scenario = { version: 1, flow: "f.yaml", allow };
    scratch.file("s/ok.yaml", JSON.stringify({ ...scenario, name: "ok", expect: { kinds: { only: "exec" } } }));
    const expect_ = { ending: "refused", refusals: ["allow.binaries"] };
    scratch.file(
      "s/no.yaml",
      JSON.stringify({ ...scenario, flow: "../f.yaml", name: "no", allow: { binaries: [] }, expect: expect_ }),
    );
    scratch.file("s/f.yaml", good);
    const ended = await call(["eval", "s/ok.yaml", "s/no.yaml"]);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining("2 of 2 runs passed") as string });
  });
});
