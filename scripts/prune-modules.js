// Deletes from a node_modules folder what an image has no use for: native binaries of other platforms, which would be most of
// it, and what only building, typing and debugging read: sources in C, in TypeScript, declarations, source maps.
// Usage: node scripts/prune-modules.js NODE_MODULES [PLATFORM ARCH]
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

const [root, platform = process.platform, arch = process.arch] = process.argv.slice(2);
if (root === undefined || !isFolder(root)) {
  process.stderr.write(`prune-modules: expected a node_modules folder, found ${root ?? "nothing"}\n`);
  process.exit(2);
}

const UNREAD = /\.(?:[cm]?ts|map|c|cc|cpp|h|hpp|gyp|gypi)$/;
/** The C library of this Node, as packages name it that have a binary for each. */
const [libc, otherLibc] =
  process.report.getReport().header.glibcVersionRuntime === undefined ? ["musl", "glibc"] : ["glibc", "musl"];

let deletedBytes = 0;
for (const path of packagesBelow(root)) prune(path);
for (const file of filesBelow(root)) if (UNREAD.test(file) || isOfOtherLibc(file)) remove(file);
process.stdout.write(`prune-modules: deleted ${Math.round(deletedBytes / 1024 / 1024)} MiB that no image needs\n`);

function prune(path) {
  // prebuilds/PLATFORM-ARCH, as prebuildify lays them out.
  keepOnly(join(path, "prebuilds"), `${platform}-${arch}`);
  // bin/napi-vN/PLATFORM/ARCH, as onnxruntime-node does.
  for (const version of foldersIn(join(path, "bin")).filter((name) => /^napi-v\d+$/.test(name))) {
    const bin = join(path, "bin", version);
    keepOnly(bin, platform);
    keepOnly(join(bin, platform), arch);
  }
}

/** Every package, of scopes and of nested node_modules too. */
function* packagesBelow(modules) {
  for (const name of foldersIn(modules)) {
    const path = join(modules, name);
    if (name.startsWith("@")) yield* packagesBelow(path);
    else {
      yield path;
      yield* packagesBelow(join(path, "node_modules"));
    }
  }
}

/** A folder that has nothing for this platform is left as it is: its package then says itself that it lacks a binary. */
function keepOnly(folder, kept) {
  const names = foldersIn(folder);
  if (!names.includes(kept)) return;
  for (const name of names.filter((other) => other !== kept)) {
    for (const file of filesBelow(join(folder, name))) remove(file);
    rmSync(join(folder, name), { recursive: true });
  }
}

/** A binary for another C library, beside that for ours. */
function isOfOtherLibc(file) {
  const suffix = `.${otherLibc}.node`;
  return file.endsWith(suffix) && existsSync(`${file.slice(0, -suffix.length)}.${libc}.node`);
}

function remove(file) {
  deletedBytes += statSync(file).size;
  rmSync(file);
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function foldersIn(folder) {
  return isFolder(folder) ? readdirSync(folder).filter((name) => isFolder(join(folder, name))) : [];
}

function isFolder(path) {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
