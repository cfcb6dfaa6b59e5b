/**
 * Builds after `npm ci`. npm calls this once more at the first `npx headroom` of a checkout, which says nothing meanwhile and
 * leaves a broken cache of npm to who ends it then: there it builds only what is older than what it is made of.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = ["package.json", "package-lock.json", "tsconfig.json", "tsconfig.build.json", "scripts/copy-assets.js"];

/** When a file was written, in ms since 1970; 0 when it is not there. */
function writtenMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

// Folders too: theirs tell that a file is gone.
const below = readdirSync(join(root, "src"), { recursive: true }).map((name) => join("src", name));
const newestMs = Math.max(...[...sources, ...below].map((path) => writtenMs(join(root, path))));
if (process.env.npm_command !== "exec" || writtenMs(join(root, "dist/.built")) <= newestMs) {
  const { status } = spawnSync("npm", ["run", "build"], { cwd: root, stdio: "inherit" });
  process.exitCode = status ?? 1;
}
