/** Copies of the built product, one of them stamped as the next version. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { PAYLOAD_VERSION } from "../../src/contract/jobs.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** What `copyNext` calls itself. */
export const NEXT_VERSION = "99.0.0";

/** A copy of the built product; its command. */
export function copyProduct(folder: string): string {
  mkdirSync(folder, { recursive: true });
  for (const part of ["bin", "dist", "package.json"]) cpSync(join(root, part), join(folder, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return join(folder, "bin/headroom.js");
}

/** Replaces exactly one place of a built file. */
function stamp(path: string, from: string, to: string): void {
  const text = readFileSync(path, "utf8");
  expect(text.split(from), `${from} in ${path}`).toHaveLength(2);
  writeFileSync(path, text.replace(from, to));
}

/**
 * The next version: its own number, a column that the old one does not know, and a payload that the old one does not
 * understand unless both have the `samePayload`.
 */
export function copyNext(folder: string, { samePayload = false } = {}): string {
  const bin = copyProduct(folder);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  stamp(join(folder, "package.json"), `"version": "${version}"`, `"version": "${NEXT_VERSION}"`);
  const next = `PAYLOAD_VERSION = ${PAYLOAD_VERSION + 1};`;
  if (!samePayload) stamp(join(folder, "dist/contract/jobs.js"), `PAYLOAD_VERSION = ${PAYLOAD_VERSION};`, next);
  const adds = '"9999-adds-note": { up: (db) => db.schema.alterTable("runs").addColumn("note", "text").execute() },';
  const last = '"0004-schedules":';
  stamp(join(folder, "dist/store/migrate.js"), last, `${adds} ${last}`);
  return bin;
}
