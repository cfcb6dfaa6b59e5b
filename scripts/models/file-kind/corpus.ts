/**
 * The heads of real files, with where they come from: `corpus.jsonl.gz` beside this file. A group (a package, a folder of
 * a library) lies wholly on one side of the split, so that no file is tested whose siblings were learned.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { z } from "zod";
import { fileKinds } from "./kinds.ts";

const sample = z.object({
  kind: z.enum(fileKinds),
  /** `package/folder`: what must not be torn apart. */
  group: z.string(),
  path: z.string(),
  /** Its first bytes, one character each. */
  head: z.string(),
});
export type Sample = Readonly<z.output<typeof sample>>;

const file = new URL("corpus.jsonl.gz", import.meta.url);

/** A fourth of the groups is never learned from. */
export function isHeldOut(group: string): boolean {
  let hash = 7;
  for (const byte of Buffer.from(group)) hash = (Math.imul(hash, 31) + byte) >>> 0;
  return hash % 4 === 0;
}

export function loadCorpus(): Sample[] {
  const lines = gunzipSync(readFileSync(file)).toString().trimEnd().split("\n");
  return lines.map((line) => sample.parse(JSON.parse(line)));
}

export function saveCorpus(samples: readonly Sample[]): void {
  writeFileSync(file, gzipSync(samples.map((row) => `${JSON.stringify(row)}\n`).join(""), { level: 9 }));
}

export function bytesOf({ head }: Pick<Sample, "head">): Uint8Array {
  return Buffer.from(head, "latin1");
}
