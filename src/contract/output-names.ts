/** Where the output of an input goes: a name below the output root, made from a template. */
import { InvalidInputError, PathEscapeError } from "./errors.ts";
import { pathToBytes, printablePath } from "./path-bytes.ts";
import type { InputSpec, RunSpec } from "./run-spec.ts";
import { expand, pathPlaceholders } from "./template.ts";

/** Bytes that common file systems allow in one part of a path. */
const PART_BYTES = 255;

/** What the names of unfinished outputs and of claims begin with. No scan takes them as input, and a sweep may remove them. */
export const TEMPORARY_PREFIX = ".headroom-";

/** Whether a file name is that of an unfinished output. */
export function isTemporaryName(name: string): boolean {
  return name.startsWith(TEMPORARY_PREFIX);
}

type Naming = Pick<RunSpec, "output">;

/**
 * The output path of an input, relative to the output root, without empty parts and `.` parts.
 * @throws {PathEscapeError} when it leaves the output root.
 * @throws {InvalidInputError} when it is empty, holds NUL, has a part over 255 bytes or one that looks temporary.
 */
export function outputNameFor(spec: Naming, path: string, index: number, runId: string): string {
  const template = spec.output.name;
  const expanded = expand(template, pathPlaceholders(path, index, runId));
  const parts = expanded.split("/").filter((part) => part !== "" && part !== ".");
  if (expanded.startsWith("/") || parts.includes("..")) {
    throw new PathEscapeError(printablePath(spec.output.root), printablePath(expanded));
  }
  const last = parts.at(-1);
  if (last === undefined || expanded.endsWith("/") || expanded.endsWith("/.")) {
    throw badName(path, "a file name that is not empty", expanded);
  }
  if (expanded.includes("\0")) throw badName(path, "a name without NUL bytes", expanded);
  if (parts.some(isTemporaryName)) {
    throw badName(path, `no part of a name to begin with ${TEMPORARY_PREFIX}`, expanded);
  }
  const long = parts.find((part) => part.length * 3 > PART_BYTES && pathToBytes(part).length > PART_BYTES);
  if (long !== undefined) throw badName(path, `parts of ${PART_BYTES} bytes at most`, long);
  return parts.join("/");
}

function badName(path: string, expected: string, found: string): InvalidInputError {
  const where = `output name of ${printablePath(path)}`;
  return new InvalidInputError("output name", [{ where, expected, found: JSON.stringify(printablePath(found)) }]);
}

/**
 * Whether two different inputs may get the same name from this template, so that names must be compared. False only where
 * it is proved: `{dir}/{name}` with constant text around it, or an `{index}` whose digits cannot run into other text.
 */
export function mayCollide(template: string): boolean {
  return !mirrorsFolders(template) && !countsInputs(template);
}

const PLACEHOLDER = /\{[a-z_]+\}/;
/** Constant text: neither a placeholder nor a brace. */
const TEXT = "[^{}]*";

function mirrorsFolders(template: string): boolean {
  // The text behind the name holds no slash: the last part, less that text, is the name, and all before it the folder.
  return new RegExp(`^(?:${TEXT}/)?\\{dir\\}/\\{name\\}[^{}/]*$`).test(template);
}

function countsInputs(template: string): boolean {
  const [before, after, ...more] = template.split("{index}");
  if (before === undefined || after === undefined || more.length > 0 || template.includes("{{")) return false;
  // Constant text on one side says where the digits begin or end; a character that is no digit closes the other side.
  const isFirst = !PLACEHOLDER.test(before) && (after === "" || /^[^{}0-9]/.test(after));
  const isLast = !PLACEHOLDER.test(after) && (before === "" || /[^{}0-9]$/.test(before));
  return isFirst || isLast;
}

/** Whether the names of a run must be compared; a list may hold what a tree cannot, so it is compared more often. */
export function needsNameCheck(spec: Naming & { readonly input: Pick<InputSpec, "kind"> }): boolean {
  return spec.input.kind !== "synthetic" && spec.output.from !== "results" && mayCollide(spec.output.name);
}
