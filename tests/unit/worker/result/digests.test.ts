import { closeSync, openSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { RunSpecInput } from "../../../../src/contract/run-request.ts";
import { runSpec } from "../../../../src/contract/run-spec.ts";
import { argsSha256, BinaryDigests, hashOpen, SMALL_BYTES } from "../../../../src/worker/result/digests.ts";
import { crashDigest } from "../../../../src/platform/crash-digest.ts";
import { Scratch } from "../../../support/scratch.ts";

const base: RunSpecInput = {
  command: ["/usr/bin/tool", "--x", "{input}"],
  input: { kind: "tree", root: "/in" },
  output: { root: "/out", from: "stdout" },
};
const digest = (change: Partial<RunSpecInput>) => argsSha256(runSpec.parse({ ...base, ...change }));

describe("digests", () => {
  test("of arguments change with what may change an output, and with nothing else", () => {
    const before = digest({});
    expect(digest({ timeoutMs: 5, retry: {}, priority: 7, name: "other", logBytes: 1 })).toBe(before);
    expect(digest({ command: ["/opt/bin/tool", "--x", "{input}"] })).toBe(before);
    expect(digest({ env: { A: "1", B: "2" } })).toBe(digest({ env: { B: "2", A: "1" } }));
    const answer = { schema: { enum: [2, 1] } };
    expect(digest({ answer: { ...answer, maxTokens: 5 } })).toBe(digest({ answer }));
    expect(digest({ answer })).not.toBe(digest({ answer: { schema: { enum: [1, 2] } } }));
    for (const change of [
      { command: ["/usr/bin/tool", "--y", "{input}"] },
      { command: ["/usr/bin/other", "--x", "{input}"] },
      { env: { A: "1" } },
      { envAllow: ["PATH"] },
      { output: { root: "/out", from: "stdout", name: "{stem}" } },
      { answer: { schema: { enum: [1, 2] } } },
    ] satisfies Partial<RunSpecInput>[]) {
      expect(digest(change)).not.toBe(before);
    }
  });

  test("of crashes tell binary and input apart", () => {
    const of = (binarySha256: string | null, argsSha256: string, inputSha256: string | null) =>
      crashDigest({ binarySha256, argsSha256, inputSha256 });
    expect(of("a", "b", "c")).not.toBe(of("c", "b", "a"));
    expect(of("a", "b", "c")).not.toBe(of("a", "x", "c"));
    expect(of("a", "b", null)).toBeUndefined();
    expect(of(null, "b", "c"), "a binary that may not be read").not.toBe(of("a", "b", "c"));
  });

  test.each([0, 1, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 3 * 1024 * 1024])(
    "of %i bytes are right",
    async (size) => {
      using scratch = new Scratch();
      const content = "ab".repeat(size).slice(0, size);
      const fd = openSync(scratch.file("x", content), "r");
      try {
        const sha256 = createHash("sha256").update(content).digest("hex");
        expect(await hashOpen(fd, size)).toEqual({ sha256, bytes: size });
        // A file that grew since its size was read is hashed whole.
        expect(await hashOpen(fd, 0)).toEqual({ sha256, bytes: size });
      } finally {
        closeSync(fd);
      }
    },
  );

  test("of a binary follow the file", async () => {
    using scratch = new Scratch();
    const binaries = new BinaryDigests();
    const path = scratch.file("tool", "one");
    const first = await binaries.digestOf(path);
    expect(await binaries.digestOf(path)).toBe(first);
    writeFileSync(path, "two");
    expect(await binaries.digestOf(path)).not.toBe(first);
    await expect(binaries.digestOf(join(scratch.path, "none"))).rejects.toThrow("ENOENT");
  });
});
