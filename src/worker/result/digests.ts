/** SHA-256 of inputs, outputs, binaries and argument lists, in hex. */
import { createHash, hash } from "node:crypto";
import { close, closeSync, constants, fstatSync, open, openSync, read, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import { promisify } from "node:util";
import { fsPath } from "../../contract/path-bytes.ts";
import { TASK_VARIABLE } from "../../contract/agents.ts";
import type { RunSpec } from "../../contract/run-spec.ts";

const readAsync = promisify(read);
const openAsync = promisify(open);
const closeAsync = promisify(close);

/** Files up to this size are read and hashed at once: cheaper than a turn through the thread pool. */
export const SMALL_BYTES = 256 * 1024;
const BLOCK_BYTES = 1024 * 1024;

const block = Buffer.allocUnsafeSlow(SMALL_BYTES);

/** The digest of an open file of at most SMALL_BYTES, and how many bytes there were; undefined when there are more. */
export function hashSmall(fd: number): { sha256: string; bytes: number } | undefined {
  let length = 0;
  while (length < block.length) {
    const got = readSync(fd, block, length, block.length - length, length);
    if (got === 0) return { sha256: hash("sha256", block.subarray(0, length), "hex"), bytes: length };
    length += got;
  }
  return undefined;
}

/** The digest of an open file of any size, read block by block off this thread. */
export async function hashLarge(fd: number): Promise<{ sha256: string; bytes: number }> {
  const buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  const digest = createHash("sha256");
  let position = 0;
  for (;;) {
    const { bytesRead } = await readAsync(fd, buffer, 0, BLOCK_BYTES, position);
    if (bytesRead === 0) return { sha256: digest.digest("hex"), bytes: position };
    digest.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

/** The digest of what an open file of about `size` bytes holds. */
export async function hashOpen(fd: number, size: number): Promise<{ sha256: string; bytes: number }> {
  return (size < SMALL_BYTES ? hashSmall(fd) : undefined) ?? (await hashLarge(fd));
}

/** The digest of a regular file, or undefined when there is none of exactly this size. */
export async function hashFileOfSize(path: string, bytes: number | null): Promise<string | undefined> {
  let fd: number;
  try {
    fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined; // Not there, or not readable: then it does not hold what was asked for.
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || (bytes !== null && stat.size !== bytes)) return undefined;
    return (await hashOpen(fd, stat.size)).sha256;
  } finally {
    closeSync(fd);
  }
}

/**
 * What identifies how a run turns an input into an output, beside the binary's digest: the binary's name (some binaries
 * act on it) and its arguments with their placeholders, the environment that the run sets, the names (not the values) of
 * the variables that nodes hand on, the output rules, the schema of answers, the folder that it works in, and what a node of a
 * flow reads of others. Limits, retries and the folder of the binary are left out: they change whether a file succeeds, not
 * what it becomes.
 */
export function argsSha256(spec: RunSpec): string {
  const { name, from, allowEmpty, check, left } = spec.output;
  const identity = {
    version: 1,
    command: [basename(spec.command[0] ?? ""), ...spec.command.slice(1)],
    // What an agent is told of its task names the run and its trace.
    env: Object.entries(spec.env)
      .filter(([name]) => name !== TASK_VARIABLE)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
    envAllow: [...spec.envAllow].sort(),
    output: { name, from, allowEmpty, check: check ?? null, ...(left !== undefined && { left }) },
    inputCheck: spec.inputRules.check ?? null,
    successExitCodes: [...spec.successExitCodes].sort((a, b) => a - b),
    ...(spec.folder !== undefined && { folder: spec.folder }),
    ...(spec.dependsSha256 !== undefined && { depends: spec.dependsSha256 }),
    // The order of properties too: answers are written in it.
    ...(spec.answer !== undefined && { answer: hash("sha256", JSON.stringify(spec.answer.schema), "hex") }),
  };
  return hash("sha256", JSON.stringify(identity), "hex");
}

/**
 * The same for one call over several inputs: what it makes depends on all of them, so each of their rows names the whole
 * group. In whichever order they were given.
 */
export function joinedArgsSha256(
  args: string,
  inputs: readonly { readonly path: string; readonly sha256: string | null }[],
): string {
  const members = inputs.map(({ path, sha256 }) => JSON.stringify([path, sha256])).sort();
  return hash("sha256", JSON.stringify([args, members]), "hex");
}

/** Digests of binaries, computed again only when the file is another or was written to. */
export class BinaryDigests {
  readonly #known = new Map<string, Promise<string>>();

  /** @throws an error with an errno code when the file cannot be read. */
  async digestOf(path: string): Promise<string> {
    const stat = statSync(fsPath(path), { bigint: true });
    const key = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const digest = hashPath(path);
    this.#known.set(key, digest);
    // A failure is told to whoever waits, and not kept.
    digest.catch(() => this.#known.delete(key));
    return digest;
  }
}

async function hashPath(path: string): Promise<string> {
  const fd = await openAsync(fsPath(path), constants.O_RDONLY);
  try {
    return (await hashLarge(fd)).sha256;
  } finally {
    await closeAsync(fd);
  }
}
