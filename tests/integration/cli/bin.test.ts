/** What the program itself says when what it is made of is not there. */
import { execFile } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Scratch } from "../../support/scratch.ts";

const program = join(import.meta.dirname, "../../../bin/headroom.js");

/** The program in a checkout of its own, with this as its built entry, or none. */
async function started(entry: string | undefined): Promise<{ code: unknown; stderr: string }> {
  using scratch = new Scratch();
  scratch.file("package.json", JSON.stringify({ type: "module" }));
  if (entry !== undefined) scratch.file("dist/cli/main.js", entry);
  const bin = join(scratch.folder("bin"), "headroom.js");
  copyFileSync(program, bin);
  return await new Promise((resolve) => {
    execFile(process.execPath, [bin, "--version"], (error, _stdout, stderr) => {
      resolve({ code: error?.code ?? 0, stderr });
    });
  });
}

test("it names the command that builds it", async () => {
  const { code, stderr } = await started(undefined);
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /^headroom: expected .*\/dist\/cli\/main\.js, found nothing; install and build with: npm ci\n$/,
  );
});

test("it names the command that installs its packages", async () => {
  const { code, stderr } = await started('import "a-package-that-is-not-there";\n');
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /^headroom: expected the packages that it needs, found: Cannot find package 'a-package-that-is-not-there'/,
  );
  expect(stderr).toMatch(/; install them with: npm ci\n$/);
});

test("any other failure of its start is no missing package", async () => {
  const { code, stderr } = await started('throw new Error("broken");\n');
  expect(code).toBe(1);
  expect(stderr).toContain("Error: broken");
});
