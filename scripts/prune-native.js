// Deletes native binaries of other platforms from a node_modules folder: packages that carry one folder per platform
// would be most of an image. Usage: node scripts/prune-native.js NODE_MODULES [PLATFORM ARCH]
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

const [root, platform = process.platform, arch = process.arch] = process.argv.slice(2);
if (root === undefined || !isFolder(root)) {
  process.stderr.write(`prune-native: expected a node_modules folder, found ${root ?? "nothing"}\n`);
  process.exit(2);
}

let deletedBytes = 0;
for (const path of packagesBelow(root)) prune(path);
process.stdout.write(`prune-native: deleted ${Math.round(deletedBytes / 1024 / 1024)} MiB of other platforms\n`);

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
    deletedBytes += sizeOf(join(folder, name));
    rmSync(join(folder, name), { recursive: true });
  }
}

function sizeOf(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0);
}

function foldersIn(folder) {
  return isFolder(folder) ? readdirSync(folder).filter((name) => isFolder(join(folder, name))) : [];
}

function isFolder(path) {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
