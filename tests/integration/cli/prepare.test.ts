/** What npm calls after `npm ci`, and at the first `npx headroom` of a checkout. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Scratch } from "../../support/scratch.ts";

const script = join(import.meta.dirname, "../../../scripts/prepare.js");
const HOUR_AGO = new Date(Date.now() - 3_600_000);

let checkout: Scratch;
const at = (path: string) => join(checkout.path, path);

/** A checkout whose build only notes that it was one; everything in it is an hour old. */
beforeEach(() => {
  checkout = new Scratch();
  const build = "node -e \"require('fs').writeFileSync('built','')\"";
  const scripts = { build, prepare: "node scripts/prepare.js" };
  const bin = { made: "bin/made.js" };
  checkout.file("package.json", JSON.stringify({ name: "made", version: "1.0.0", type: "module", bin, scripts }));
  checkout.file("bin/made.js", '#!/usr/bin/env node\nconsole.log("it runs");\n');
  checkout.file("src/one.ts", "");
  checkout.file("src/sub/two.ts", "");
  checkout.folder("scripts");
  copyFileSync(script, at("scripts/prepare.js"));
  for (const path of ["package.json", "src", "src/one.ts", "src/sub", "src/sub/two.ts"]) {
    utimesSync(at(path), HOUR_AGO, HOUR_AGO);
  }
});
afterEach(() => {
  checkout[Symbol.dispose]();
});

/** Whether it built, as npm calls it for `npx` or for `npm ci`. */
function prepared(npm_command: "exec" | "ci" = "exec"): boolean {
  rmSync(at("built"), { force: true });
  execFileSync(process.execPath, [at("scripts/prepare.js")], { stdio: "pipe", env: { ...process.env, npm_command } });
  return existsSync(at("built"));
}

test("builds what was never built, and what has changed since, and nothing else", () => {
  expect(prepared()).toBe(true);
  checkout.file("dist/.built", "");
  expect(prepared()).toBe(false);
  expect(prepared("ci")).toBe(true);
  const later = new Date(Date.now() + 60_000);
  utimesSync(at("src/sub/two.ts"), later, later);
  expect(prepared()).toBe(true);
});

test("builds when a source is gone", () => {
  checkout.file("dist/.built", "");
  const built = new Date(Date.now() - 60_000);
  utimesSync(at("dist/.built"), built, built);
  expect(prepared()).toBe(false);
  rmSync(at("src/sub/two.ts"));
  expect(prepared()).toBe(true);
});

test("npx in the checkout runs its command and builds nothing", () => {
  checkout.file("dist/.built", "");
  const env = { ...process.env, npm_config_cache: checkout.folder("cache") };
  const said = execFileSync("npx", ["made"], { cwd: checkout.path, env, encoding: "utf8", stdio: "pipe" });
  expect(said).toBe("it runs\n");
  expect(existsSync(at("built"))).toBe(false);
});
