/** The table of errors in docs/http-api.md has every code that the intake answers with, each once, and no other. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as errors from "../../src/contract/errors.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const codesOf = (text: string) => [...text.matchAll(/ERR_[A-Z_]+/g)].map(([code]) => code);

function sourceBelow(folder: string): string {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => read(join(folder, path)))
    .join("\n");
}

/** The codes of the error classes that become an answer of their own. */
function translatedCodes(): string[] {
  const translation = read("src/platform/http/problem.ts");
  const classes = read("src/contract/errors.ts").matchAll(/export class (\w+) [^}]*? code = "(ERR_[A-Z_]+)"/g);
  const known = [...classes].filter(([, name = ""]) => name in errors);
  return known.flatMap(([, name = "", code = ""]) => (new RegExp(`\\b${name}\\b`).test(translation) ? [code] : []));
}

test("docs/http-api.md has every error code of the intake once", () => {
  const thrown = codesOf(`${sourceBelow("src/producer")}\n${sourceBelow("src/platform/http")}`);
  const [, section = ""] = read("docs/http-api.md").split(/^## Errors$/m);
  const table = section.split("\n").filter((line) => /^\| \d{3} /.test(line));
  expect(translatedCodes().length).toBeGreaterThan(6);
  expect(codesOf(table.join("\n")).toSorted()).toEqual([...new Set([...thrown, ...translatedCodes()])].toSorted());
});
