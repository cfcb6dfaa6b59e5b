#!/usr/bin/env node
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`headroom: expected Node.js 20.19 or newer, found ${process.versions.node}\n`);
  process.exit(2);
}
const entry = new URL("../dist/cli/main.js", import.meta.url);
if (!existsSync(entry)) {
  process.stderr.write(`headroom: expected ${fileURLToPath(entry)}, found nothing; install and build with: npm ci\n`);
  process.exit(2);
}
const { runProcess } = await import(entry.href).catch((error) => {
  // Its own files are there, so it is a package that is not.
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  const [found] = String(error.message).split("\n");
  process.stderr.write(`headroom: expected the packages that it needs, found: ${found}; install them with: npm ci\n`);
  process.exit(2);
});
await runProcess();
