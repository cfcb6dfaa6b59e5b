/** `headroom infer`, `results` and `model` as processes, with a model that was made elsewhere. */
import { hash } from "node:crypto";
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { modelFolder, pickyManifest, pickyModel, tinyOnnx } from "../../support/tiny-onnx.ts";
import { Cli } from "./cli-process.ts";

const filetype = join(import.meta.dirname, "../../fixtures/models/filetype");

interface Line {
  readonly path: string;
  readonly outcome: string;
  readonly label?: string;
  readonly confidence?: number;
  readonly vector?: number;
  readonly message?: string;
}

function linesOf(path: string): Line[] {
  return readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

const json = '{"name": "x", "list": [1, 2, 3], "deep": {"a": null, "b": true}}\n';
const query = "SELECT id, name FROM users WHERE id = 3 ORDER BY name;\nINSERT INTO t VALUES (1);\n";

describe("headroom infer", () => {
  test("names the runs of a flow's nodes that have results", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a.txt", query.repeat(9));
    const model = (id: string) => ({ id, kind: "infer", model: filetype, input: join(cli.scratch.path, "in") });
    const exec = { id: "other", kind: "exec", command: ["/bin/true"] };
    const resultsOf = async (name: string, nodes: readonly object[]) => {
      const file = cli.scratch.file(`${name}.json`, JSON.stringify({ version: 1, name, nodes }));
      const ended = await cli.call(["run", "--flow", file, "--output", "runs"]);
      const id = /^ {2}run +(\S+)/m.exec(ended.stdout)?.[1] ?? "none";
      return { id, said: (await cli.call(["results", id])).stderr };
    };
    const { id, said } = await resultsOf("models", [model("one"), model("two"), exec]);
    const calls = ["one", "two"].map((node) => `  headroom results ${id}~${node}\n`);
    expect(said).toBe(`headroom: run ${id} is a flow; the results are with the runs of its nodes:\n${calls.join("")}`);
    expect((await cli.call(["results", `${id}~one`])).stdout).toMatch(/a\.txt +sql/);
    const none = await resultsOf("none", [exec]);
    expect(none.said).toContain("is a flow, and none of its nodes has taken a model over files so far");
  });

  test("takes files through a model into one file and the store, and runs only what changed again", async () => {
    await using cli = new Cli();
    for (let at = 0; at < 300; at += 1) {
      cli.scratch.file(`in/${at % 7}/f${at}.txt`, at % 3 === 0 ? query.repeat(5 + at) : json.repeat(5 + at));
    }
    const ended = await cli.call(["infer", "--model", filetype, "--input", "in", "--output", "out"]);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toContain("✓ 300 files succeeded");
    expect(ended.stdout).toMatch(/model +.*filetype on cpu/);
    expect(ended.stdout).toContain("json 200 · sql 100");
    expect(readdirSync(join(cli.scratch.path, "out"))).toEqual(["results.jsonl"]);
    const lines = linesOf(join(cli.scratch.path, "out/results.jsonl"));
    expect(new Set(lines.map(({ path }) => path)).size).toBe(300);
    expect(lines).toHaveLength(300);
    for (const { path, outcome, label } of lines) {
      const at = Number(/f(\d+)/.exec(path)?.[1]);
      expect([path, outcome, label]).toEqual([path, "succeeded", at % 3 === 0 ? "sql" : "json"]);
    }
    const [id = ""] = readdirSync(join(cli.home, "runs"));
    const rows = await cli.call(["results", id, "--label", "sql", "--min-confidence", "0.5", "--json"]);
    expect(rows.stdout.trimEnd().split("\n")).toHaveLength(100);
    appendFileSync(join(cli.scratch.path, "in/0/f0.txt"), "-- changed\n");
    const dry = await cli.json<object>(["infer", "--resume", id, "--dry-run", "--json"]);
    expect(dry).toMatchObject({ files: 1, resume: { reused: 299, new: 0, changed: 1 } });
    const again = await cli.call(["infer", "--resume", id]);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain("299 files unchanged since the last time");
    expect(linesOf(join(cli.scratch.path, "out/results.jsonl"))).toHaveLength(300);
  });

  test("fails the files that the model does not take, and tells which", async () => {
    await using cli = new Cli();
    const folder = modelFolder(cli.scratch, "model", pickyModel(), pickyManifest);
    for (let at = 0; at < 40; at += 1) cli.scratch.file(`in/f${at}`, Buffer.from([at === 7 ? 9 : 1]));
    cli.scratch.file("in/empty");
    const ended = await cli.call(["infer", "-m", folder, "-i", "in", "-o", "out"]);
    expect(ended.code).toBe(1);
    expect(ended.stdout).toContain("2 of 41 files failed");
    const failed = linesOf(join(cli.scratch.path, "out/results.jsonl")).filter(({ outcome }) => outcome === "failed");
    expect(failed.map(({ path }) => path)).toEqual(["empty", "f7"]);
    expect(failed[0]?.message).toBe("expected a file that is not empty, found 0 bytes");
  });

  test("keeps vectors in a file of their own, in the order of their numbers", async () => {
    await using cli = new Cli();
    const model = tinyOnnx({
      inputs: [["x", "float32", ["batch", 2]]],
      outputs: [["y", "float32", ["batch", 2]]],
      nodes: [{ op: "Identity", in: ["x"], out: "y" }],
    });
    const folder = modelFolder(cli.scratch, "model", model, {
      task: "embed",
      input: { kind: "bytes", tensor: "x", windows: [{ at: "head", length: 2 }] },
      output: { tensor: "y", normalize: false },
    });
    cli.scratch.file("in/a", Buffer.from([1, 2]));
    cli.scratch.file("in/b");
    cli.scratch.file("in/c", Buffer.from([3, 4]));
    expect((await cli.call(["infer", "-m", folder, "-i", "in", "-o", "out"])).code).toBe(1);
    const lines = linesOf(join(cli.scratch.path, "out/results.jsonl"));
    expect(lines.map(({ path, vector }) => [path, vector])).toEqual([
      ["a", 0],
      ["b", undefined],
      ["c", 1],
    ]);
    const bytes = readFileSync(join(cli.scratch.path, "out/embeddings.f32"));
    const vectors = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    expect([...vectors]).toEqual([1, 2, 3, 4]);
  });

  test("refuses a model that cannot be used before anything is started", async () => {
    await using cli = new Cli();
    cli.scratch.file("in/a", "a");
    const labels = modelFolder(cli.scratch, "labels", pickyModel(), { ...pickyManifest, labels: ["one"] });
    const wrong = await cli.call(["infer", "-m", labels, "-i", "in", "-o", "out"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("labels: expected 2 of them, as the output y has values for each file, found 1");
    const none = await cli.call(["infer", "-m", "nowhere", "-i", "in", "-o", "out"]);
    expect(none.code).toBe(2);
    expect(none.stderr).toMatch(/nowhere\/model\.yaml: expected a manifest that can be read, found none/);
    expect((await cli.call(["infer", "-i", "in", "-o", "out"])).stderr).toContain(
      "--model: expected the folder of a model",
    );
    expect(existsSync(join(cli.home, "runs"))).toBe(false);
  });

  test("runs on no other model than the one that the run began with", async () => {
    await using cli = new Cli();
    const folder = modelFolder(cli.scratch, "model", pickyModel(), pickyManifest);
    cli.scratch.file("in/a", Buffer.from([1]));
    expect((await cli.call(["infer", "-m", folder, "-i", "in", "-o", "out"])).code).toBe(0);
    const [id = ""] = readdirSync(join(cli.home, "runs"));
    modelFolder(cli.scratch, "model", pickyModel(), { ...pickyManifest, labels: ["null", "eins"] });
    const other = await cli.call(["run", "--resume", id]);
    expect(other.code).toBe(1);
    expect(other.stdout).toMatch(/policy: expected the model .* with SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}/);
    expect((await cli.call(["infer", "--resume", id])).code).toBe(0);
    expect(linesOf(join(cli.scratch.path, "out/results.jsonl"))).toMatchObject([{ path: "a", label: "eins" }]);
  });
});

describe("headroom model", () => {
  test("shows what a model is, and what is wrong with one", async () => {
    await using cli = new Cli();
    const shown = await cli.json<Record<string, unknown>>(["model", "inspect", filetype, "--json"]);
    expect(shown).toMatchObject({ name: "filetype", task: "classify", labels: 13, provider: "cpu", mostRows: 128 });
    expect((await cli.call(["model", "validate", filetype])).code).toBe(0);
    const folder = modelFolder(cli.scratch, "model", pickyModel(), {
      ...pickyManifest,
      model: { file: "model.onnx", sha256: "0".repeat(64) },
    });
    const wrong = await cli.call(["model", "validate", folder]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain(`model.onnx has SHA-256 ${hash("sha256", pickyModel(), "hex")}`);
  });

  test("measures a model by batch size", async () => {
    await using cli = new Cli();
    const folder = modelFolder(cli.scratch, "model", pickyModel(), { ...pickyManifest, batch: { max_rows: 4 } });
    cli.scratch.file("in/a", Buffer.from([1]));
    const { sizes } = await cli.json<{ sizes: { rows: number; filesPerSecond: number }[] }>([
      "model",
      "bench",
      folder,
      "-i",
      "in",
      "--json",
    ]);
    expect(sizes.map(({ rows }) => rows)).toEqual([1, 2, 4]);
    for (const { filesPerSecond } of sizes) expect(filesPerSecond).toBeGreaterThan(0);
  });
});

test("code in a model's folder runs where the configuration names its digest, and its answers are a table", async () => {
  await using cli = new Cli();
  const root = join(import.meta.dirname, "../../..");
  const model = join(root, "examples/models/house-price");
  const refused = await cli.call(["model", "validate", model]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("input.sha256: expected a plugin that allow.model_plugins names (it names none)");
  const digests = ["numbers.mjs", "verdict.mjs"].map((name) => hash("sha256", readFileSync(join(model, name)), "hex"));
  const env = { HEADROOM_ALLOW_MODEL_PLUGINS: JSON.stringify(digests) };
  const shown = await cli.call(["model", "inspect", model], { env });
  expect(shown.stdout).toContain(`numbers.mjs for inputs, ${digests[0] ?? ""}`);
  const config = cli.scratch.file("plugins.yaml", `allow: { model_plugins: [${digests.join(", ")}] }\n`);
  expect((await cli.call(["model", "validate", model, "--config", config])).code).toBe(0);
  const input = join(root, "examples/houses");
  const ended = await cli.call(["infer", "--model", model, "--input", input, "--output", "out"], { env });
  expect(ended.code).toBe(1);
  const lines = linesOf(join(cli.scratch.path, "out/results.jsonl"));
  expect(lines).toMatchObject([
    { path: "east.csv", outcome: "failed", message: "rooms: expected a number, found three" },
    { path: "north.csv", label: "fair", answer: { price: 460, above: false } },
    { path: "south.csv", label: "dear", answer: { price: 865, above: true } },
  ]);
  const [id = ""] = readdirSync(join(cli.home, "runs"));
  const table = await cli.call(["results", id, "--where", "price=865"]);
  expect(table.stdout).toMatch(/FILE +LABEL +price +above\n+south\.csv +dear +865 +true/);
});
