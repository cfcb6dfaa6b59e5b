import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { expect, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import { Scratch } from "../../support/scratch.ts";

const model = join(import.meta.dirname, "../../../models/extract-llama");

test("a model of the cluster is asked like any planner; the one that comes along cannot plan, and is refused", async () => {
  using scratch = new Scratch();
  const planners = { local: { kind: "model", model, repairs: 0 } };
  scratch.file("c.json", JSON.stringify({ planners, allow: { binaries: ["/usr/bin/true"] } }));
  let stderr = "";
  const code = await main(["run", "--goal", "meet Ann on Friday", "-c", "c.json"], {
    stdin: Readable.from([]),
    stdout: new Writable({ write: (_chunk, _encoding, done) => (done(), undefined) }),
    stderr: new Writable({ write: (chunk, _encoding, done) => (done(), (stderr += String(chunk))) }),
    env: { PATH: process.env["PATH"], HEADROOM_HOME: `${scratch.path}/home` },
    cwd: scratch.path,
  });
  expect(stderr).toContain("call 1: answered");
  expect(stderr).toContain("expected a plan: one JSON object with nodes, found other objects");
  expect(code).toBe(1);
  const plans = `${scratch.path}/home/plans`;
  const [id = ""] = readdirSync(plans);
  expect(JSON.parse(readFileSync(join(plans, id, "1.txt"), "utf8"))).toBeTypeOf("object");
  // The question and its answer are no files of anybody.
  expect(readdirSync(`${scratch.path}/home`).filter((name) => name.startsWith("ask-"))).toEqual([]);
});
