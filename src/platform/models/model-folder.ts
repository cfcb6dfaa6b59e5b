/** Reads a model from its folder: the manifest, and whether each file that it pins is there and is the very one. */
import { createHash, hash } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import { checkManifest, MANIFEST_NAME, type ModelManifest } from "../../contract/model-manifest.ts";
import type { PinnedFile } from "../../contract/model-parts.ts";
import { pluginsOf } from "../../contract/model-plugins.ts";
import { showPath } from "../../contract/schema-faults.ts";
import { readConfigDocument } from "../config-document.ts";

export interface ModelFolder {
  /** Absolute. */
  readonly folder: string;
  readonly manifest: ModelManifest;
  /** One per value of the output; empty where the task has none. */
  readonly labels: readonly string[];
  /** Of all that decides what the model says of a file: its files, input, output and labels. */
  readonly sha256: string;
}

/** A larger file is no manifest. */
const MAX_MANIFEST_BYTES = 1_048_576;

/** @throws {InvalidInputError} with every fault of the manifest and of the files */
export async function loadModel(folder: string): Promise<ModelFolder> {
  const root = resolve(folder);
  const manifest = readManifest(root);
  const faults = (await Promise.all(pinsOf(manifest).map((pin) => pinFault(root, pin)))).filter(
    (fault) => fault !== undefined,
  );
  if (faults.length > 0) throw new InvalidInputError(`model ${root}`, faults);
  const labels = labelsOf(root, manifest);
  return { folder: root, manifest, labels, sha256: digestOf(manifest, labels) };
}

/** The manifest alone. @throws {InvalidInputError} with every fault, and the line of each */
export function readManifest(root: string): ModelManifest {
  const path = join(root, MANIFEST_NAME);
  const document = readConfigDocument(readText(path), path, {});
  if (document.value === undefined) throw new InvalidInputError(`model ${root}`, document.faults);
  const checked = checkManifest(document.value);
  const faults = [...document.faults, ...(checked.kind === "faulty" ? checked.faults : [])];
  if (checked.kind === "valid" && faults.length === 0) return checked.manifest;
  throw new InvalidInputError(
    `model ${root}`,
    faults.map(({ path: place, where, expected, found }) => {
      const line = document.lineOf(place);
      return { where: line === undefined ? where : `${where} (${MANIFEST_NAME}:${line})`, expected, found };
    }),
  );
}

function readText(path: string): string {
  const fault = (found: string, cause?: unknown) =>
    new InvalidInputError("model", [{ where: path, expected: "a manifest that can be read", found }], { cause });
  let text: Buffer;
  try {
    text = readFileSync(path);
  } catch (error) {
    throw fault(codeOf(error) === "ENOENT" ? "none" : codeOf(error), error);
  }
  if (text.length > MAX_MANIFEST_BYTES) throw fault(`${text.length} bytes, more than ${MAX_MANIFEST_BYTES}`);
  return text.toString("utf8");
}

interface Pin extends PinnedFile {
  readonly where: readonly PropertyKey[];
}

function pinsOf(manifest: ModelManifest): Pin[] {
  const { model, input } = manifest;
  const pins: Pin[] = [{ file: model.file, sha256: model.sha256, where: ["model"] }];
  const add = (file: PinnedFile | undefined, ...where: PropertyKey[]) => {
    if (file !== undefined) pins.push({ ...file, where });
  };
  for (const [at, file] of model.external.entries()) add(file, "model", "external", at);
  for (const [at, variant] of model.variants.entries()) {
    add(variant, "model", "variants", at);
    for (const [part, file] of variant.external.entries()) add(file, "model", "variants", at, "external", part);
  }
  if (input.kind === "text" || input.kind === "prompt") {
    add(input.tokenizer, "input", "tokenizer");
    add(input.tokenizer_config, "input", "tokenizer_config");
  }
  if (input.kind === "prompt") add(input.template, "input", "template");
  if (manifest.task === "generate") {
    add(manifest.config, "config");
    add(manifest.output.schema, "output", "schema");
  }
  for (const { role, ...file } of pluginsOf(manifest)) add(file, role);
  if ("labels" in manifest && !Array.isArray(manifest.labels)) add(manifest.labels, "labels");
  return pins;
}

async function pinFault(root: string, { file, sha256, where }: Pin): Promise<Fault | undefined> {
  const path = join(root, file);
  const told = (key: string, expected: string, found: string): Fault => ({
    where: showPath([...where, key]),
    expected,
    found,
  });
  try {
    if (!statSync(path).isFile()) return told("file", `a file at ${path}`, "something else");
    const found = await hashFile(path);
    if (found === sha256) return undefined;
    return told("sha256", `${path} with this digest: ${sha256}`, `${found} (${statSync(path).size} bytes)`);
  } catch (error) {
    return told("file", `a file at ${path} that can be read`, codeOf(error) === "ENOENT" ? "nothing" : codeOf(error));
  }
}

async function hashFile(path: string): Promise<string> {
  const digest = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1_048_576 }), digest);
  return digest.digest("hex");
}

function labelsOf(root: string, manifest: ModelManifest): readonly string[] {
  if (!("labels" in manifest)) return [];
  if (Array.isArray(manifest.labels)) return manifest.labels;
  const path = join(root, manifest.labels.file);
  const lines = readFileSync(path, "utf8").split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const empty = lines.findIndex((line) => line.trim() === "");
  if (lines.length > 0 && empty < 0) return lines;
  const found = lines.length === 0 ? "none" : `line ${empty + 1} empty`;
  throw new InvalidInputError(`model ${root}`, [{ where: "labels.file", expected: "one label on each line", found }]);
}

/** What changes only how fast the model answers is left out: a run is resumed whatever its batches were. */
function digestOf(manifest: ModelManifest, labels: readonly string[]): string {
  const { version, task, model, input, output } = manifest;
  // All variants: which one a file ran on is its worker's business, and no reason to run it again.
  const files = [model, ...model.variants];
  const pins = files.flatMap((file) => [file.sha256, ...file.external.map(({ sha256 }) => sha256)]);
  if (manifest.task === "generate") pins.push(manifest.config.sha256);
  return hash("sha256", JSON.stringify({ version, task, pins, input, output, labels }), "hex");
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "an error";
}
