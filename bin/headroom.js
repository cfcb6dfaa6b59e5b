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
  process.stderr.write(`headroom: expected ${fileURLToPath(entry)}, found nothing; build it with: npm run build\n`);
  process.exit(2);
}
const { runProcess } = await import(entry.href);
await runProcess();
