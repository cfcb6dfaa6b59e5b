/** Writes the digests of a model's files into its manifest: each `sha256` that stands under a `file`. */
import { hash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Renews every pin of the manifest in this folder. */
export function pinFiles(folder: string): void {
  const manifest = join(folder, "model.yaml");
  const text = readFileSync(manifest, "utf8");
  const pinned = text.replaceAll(
    /(file: (\S+)\n\s*sha256: )\S+/g,
    (_, head: string, file: string) => `${head}"${hash("sha256", readFileSync(join(folder, file)), "hex")}"`,
  );
  writeFileSync(manifest, pinned);
}
