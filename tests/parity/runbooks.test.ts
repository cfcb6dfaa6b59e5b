/** Every runbook has its three sections with commands, is played by a test, and can be found. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readRunbook } from "../support/runbook.ts";

const root = join(import.meta.dirname, "../..");
const names = readdirSync(join(root, "docs/runbooks")).map((file) => file.replace(/\.md$/, ""));
const tests = readdirSync(join(root, "tests/e2e"))
  .filter((file) => file.startsWith("runbooks"))
  .map((file) => readFileSync(join(root, "tests/e2e", file), "utf8"))
  .join("\n");

describe("runbooks", () => {
  test.each(names)("%s has commands to detect, to act and to verify, and a test plays it", (name) => {
    expect(Object.values(readRunbook(name)).filter((commands) => commands === "")).toEqual([]);
    expect(tests).toContain(`playRunbook("${name}"`);
    expect(readFileSync(join(root, "docs/operations.md"), "utf8")).toContain(`runbooks/${name}.md`);
  });
});
