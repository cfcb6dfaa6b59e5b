/** What a person writes behind `--input`: a folder, a glob, a file, or `-` for a list on standard input. */
import { statSync, type Stats } from "node:fs";
import { basename, dirname } from "node:path";
import picomatch from "picomatch";
import { InvalidInputError } from "../../contract/errors.ts";
import { globFaults } from "../../contract/globs.ts";
import { fsPath, printablePath } from "../../contract/path-bytes.ts";
import type { InputSpec } from "../../contract/run-spec.ts";
import { resolveFrom } from "../current-folder.ts";
import { codeOf, type TreeInput } from "./scan-batch.ts";

type ListInput = Extract<InputSpec, { readonly kind: "list" }>;
type TreeRules = Pick<TreeInput, "include" | "exclude" | "symlinks" | "hidden">;

/** A file is a list of one path: the caller stores `paths` as its page. `stdin`: the caller reads the list. */
export type ParsedInput =
  | { readonly kind: "tree"; readonly input: TreeInput }
  | { readonly kind: "file"; readonly input: ListInput; readonly paths: readonly string[] }
  | { readonly kind: "stdin"; readonly input: ListInput };

export interface InputOptions {
  /** What a relative argument is relative to. */
  readonly cwd: string;
  /** Rules for a tree; a glob comes on top of `include` of none. */
  readonly rules?: Partial<TreeRules>;
  /** Where the argument stands, for the error. */
  readonly where?: string;
}

const noRules: TreeRules = { include: [], exclude: [], symlinks: "skip", hidden: false };

/** Reads the argument; what exists under exactly this name wins over a glob. @throws {InvalidInputError} */
export function parseInput(argument: string, options: InputOptions): ParsedInput {
  const where = options.where ?? "input";
  if (argument === "") throw fault(where, "a folder, a glob, a file or -", "nothing");
  if (argument === "-") return { kind: "stdin", input: { kind: "list", root: resolveFrom(options.cwd, ".") } };
  const path = resolveFrom(options.cwd, argument);
  const found = lookAt(path);
  if (!(found instanceof Error)) return ofExisting(path, found, { argument, where, rules: options.rules });
  const glob = picomatch.scan(argument, { nonegate: true });
  if (!glob.isGlob || codeOf(found) !== "ENOENT") throw missing(where, argument, found);
  return ofGlob(glob, argument, options);
}

interface Existing {
  readonly argument: string;
  readonly where: string;
  readonly rules: Partial<TreeRules> | undefined;
}

function ofExisting(path: string, found: Stats, { argument, where, rules }: Existing): ParsedInput {
  if (found.isDirectory()) return { kind: "tree", input: { ...noRules, ...rules, kind: "tree", root: path } };
  if (found.isFile()) {
    return { kind: "file", input: { kind: "list", root: dirname(path) }, paths: [basename(path)] };
  }
  throw fault(where, "a folder, a glob, a file or -", `a pipe, socket or device at ${printablePath(argument)}`);
}

function ofGlob(glob: { base: string; glob: string }, argument: string, options: InputOptions): ParsedInput {
  const where = options.where ?? "input";
  const root = resolveFrom(options.cwd, glob.base);
  const found = lookAt(root);
  if (found instanceof Error) throw missing(where, glob.base, found);
  if (!found.isDirectory()) throw fault(where, `a folder before the glob of ${argument}`, `a file at ${root}`);
  if (glob.glob.split("/").includes("..")) throw fault(where, "no .. behind the first wildcard", argument);
  const [none] = globFaults({ include: [glob.glob] }, []);
  if (none !== undefined) throw fault(where, none.expected, JSON.stringify(argument));
  const include = options.rules?.include ?? [];
  if (include.length > 0) {
    throw fault(where, "a folder, because include patterns are given too", `the glob ${JSON.stringify(argument)}`);
  }
  return { kind: "tree", input: { ...noRules, ...options.rules, kind: "tree", root, include: [glob.glob] } };
}

function lookAt(path: string): Stats | Error {
  try {
    return statSync(fsPath(path));
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function missing(where: string, argument: string, error: Error): InvalidInputError {
  const shown = JSON.stringify(printablePath(argument));
  // Node decodes arguments as UTF-8, so what comes here is not the name that was meant.
  const hint = argument.includes("\ufffd") ? "; names that are not UTF-8 come by their folder or by a list (-)" : "";
  const code = codeOf(error);
  const what = code === "ENOENT" ? `nothing at ${shown}` : `${code} at ${shown}`;
  return fault(where, `an existing folder, glob or file${hint}`, what, error);
}

function fault(where: string, expected: string, found: string, cause?: unknown): InvalidInputError {
  return new InvalidInputError("run", [{ where, expected, found }], { cause });
}
