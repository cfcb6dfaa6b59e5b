/** `headroom infer` with a model that generates: one valid JSON answer for each file, found again by its label. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import Ajv from "ajv";
import { expect, test } from "vitest";
import { makeDocuments } from "../../../scripts/models/documents/documents.ts";
import { Cli } from "./cli-process.ts";

const model = resolve("models/extract-llama");

interface Line {
  readonly path: string;
  readonly label: string;
  readonly confidence: number;
  readonly answer: { readonly kind: string };
}

test("headroom infer writes an answer for each file that is valid against the schema of the model", async () => {
  await using cli = new Cli();
  for (const [at, { kind, text }] of makeDocuments(52, 12).entries()) cli.scratch.file(`in/${kind}-${at}`, text);
  const ended = await cli.call(["infer", "--model", model, "--input", "in", "--output", "out"]);
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  const lines = readFileSync(join(cli.scratch.path, "out/results.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
  expect(lines).toHaveLength(52);
  const schema = JSON.parse(readFileSync(join(model, "schema.json"), "utf8")) as object;
  const validate = new Ajv({ validateSchema: false }).compile({ ...schema, $schema: undefined });
  for (const { answer, label, confidence } of lines) {
    expect(validate(answer)).toBe(true);
    expect(label).toBe(answer.kind);
    expect(confidence).toBeGreaterThan(0);
  }
  const right = lines.filter(({ path, label }) => path.startsWith(`${label}-`)).length;
  expect(right).toBeGreaterThanOrEqual(50);
  const [id = ""] = readdirSync(join(cli.home, "runs"));
  const found = await cli.call(["results", id, "--label", "sql", "--json"]);
  expect(found.stdout.trimEnd().split("\n")).toHaveLength(lines.filter(({ label }) => label === "sql").length);
  const shown = await cli.call(["results", id, "--where", "kind=sql"]);
  expect(shown.stdout.split("\n")[0]).toMatch(/^FILE +LABEL +CONFIDENCE +kind +\w/);
  expect(shown.stdout.trimEnd().split("\n")).toHaveLength(
    1 + lines.filter(({ answer }) => answer.kind === "sql").length,
  );
  const csv = await cli.call(["results", id, "--csv"]);
  expect(csv.stdout).toMatch(/^FILE,LABEL,CONFIDENCE,kind,\w/);
  expect(csv.stdout.trimEnd().split("\r\n")).toHaveLength(53);
});

test("headroom infer --schema holds the answers to another schema; a resumed run with yet another answers anew", async () => {
  await using cli = new Cli();
  for (const name of ["a", "b"]) cli.scratch.file(`in/${name}`, `SELECT ${name};`);
  cli.scratch.file("mood.json", JSON.stringify({ enum: ["glad", "sad"] }));
  cli.scratch.file("other.json", JSON.stringify({ enum: ["red", "blue"] }));
  cli.scratch.file("endless.json", JSON.stringify({ type: "string" }));
  const infer = (...options: string[]) => cli.call(["infer", "--input", "in", "--output", "out", ...options]);
  const answers = () =>
    readFileSync(join(cli.scratch.path, "out/results.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { answer: string }).answer);
  expect(await infer("--model", model, "--schema", "endless.json")).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/--schema endless\.json, schema \/maxLength: expected a whole number/) as string,
  });
  const filetype = resolve("tests/fixtures/models/filetype");
  expect(await infer("--model", filetype, "--schema", "mood.json")).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(
      /--schema: expected a model of the task generate, found .* of the task classify/,
    ) as string,
  });
  expect(await infer("--model", model, "--max-answer-tokens", "5")).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/--max-answer-tokens: expected --schema with it/) as string,
  });
  expect(await infer("--model", model, "--schema", "mood.json")).toMatchObject({ code: 0 });
  for (const answer of answers()) expect(answer).toMatch(/^(?:glad|sad)$/);
  const [id = ""] = readdirSync(join(cli.home, "runs"));
  const same = await cli.call(["infer", "--resume", id, "--json"]);
  expect(same).toMatchObject({ code: 0 });
  for (const answer of answers()) expect(answer).toMatch(/^(?:glad|sad)$/);
  const other = await cli.call(["infer", "--resume", id, "--schema", "other.json"]);
  expect(other).toMatchObject({ code: 0 });
  for (const answer of answers()) expect(answer).toMatch(/^(?:red|blue)$/);
});
