/** Law 4 for the file of what a model said. */
import { hash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { InfrastructureError, LeaseLostError } from "../../../../src/contract/errors.ts";
import type { FileResult } from "../../../../src/contract/files.ts";
import { writeResults } from "../../../../src/worker/result/results-file.ts";
import { Scratch } from "../../../support/scratch.ts";
import { failedOf, resultOf } from "../../store/fixtures.ts";

const value = { task: "classify" as const, labels: [{ label: "x", confidence: 0.5 }] };
const rows = (count: number): FileResult[] =>
  Array.from({ length: count }, (_, at) => resultOf(`f${at}`, { inference: { label: "x", confidence: 0.5, value } }));

function request(root: string, given: AsyncIterable<FileResult>, mayPublish = true) {
  return { runId: "r", root, token: "w:1/2", rows: given, mayPublish: () => Promise.resolve(mayPublish) };
}

describe("file of results", () => {
  test("has a line for each row, and says what it is", async () => {
    using scratch = new Scratch();
    const written = await writeResults(request(scratch.path, Readable.from([...rows(3_000), failedOf("z")])));
    expect(readdirSync(scratch.path)).toEqual(["results.jsonl"]);
    const text = readFileSync(join(scratch.path, "results.jsonl"), "utf8");
    expect(written).toEqual([
      { path: "results.jsonl", bytes: Buffer.byteLength(text), sha256: hash("sha256", text, "hex") },
    ]);
    const lines = text.trimEnd().split("\n");
    expect(lines).toHaveLength(3_001);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ path: "f0", outcome: "succeeded", label: "x", confidence: 0.5 });
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ path: "z", outcome: "failed", failureClass: "exit" });
  });

  test("takes the place of an older one as a whole, and leaves it there when the lease is lost or the rows end early", async () => {
    using scratch = new Scratch();
    scratch.file("results.jsonl", "old\n");
    const lost = writeResults(request(scratch.path, Readable.from(rows(10)), false));
    await expect(lost).rejects.toThrow(LeaseLostError);
    const broken = writeResults(
      request(
        scratch.path,
        (async function* () {
          yield* rows(5_000);
          await Promise.reject(new InfrastructureError("the store is gone"));
        })(),
      ),
    );
    await expect(broken).rejects.toThrow("the store is gone");
    expect(readdirSync(scratch.path)).toEqual(["results.jsonl"]);
    expect(readFileSync(join(scratch.path, "results.jsonl"), "utf8")).toBe("old\n");
    await writeResults(request(scratch.path, Readable.from(rows(1))));
    expect(readFileSync(join(scratch.path, "results.jsonl"), "utf8")).toContain('"path":"f0"');
  });
});
