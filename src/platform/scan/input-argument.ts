/** What a person writes behind `--input`: a folder, a glob, a file, or `-` for a list on standard input. */
import { statSync, type Stats } from "node:fs";
import { basename, dirname } from "node:path";
import picomatch from "picomatch";
import { InvalidInputError } from "../../contract/errors.ts";
import { globFaults } from "../../contract/globs.ts";
import { fsPath, printablePath } from "../../contract/path-bytes.ts";
import { resolveFrom } from "../current-folder.ts";
import { codeOf, type ListInput, type TreeInput } from "./scan-batch.ts";

/** Those of a list are the same, without `hidden`: what is named is meant. */
type InputRules = Pick<ListInput, "include" | "exclude" | "symlinks"> & { readonly hidden?: boolean };

/** A file is a list of one path: the caller stores `paths` as its page. `stdin`: the caller reads the list. */
export type ParsedInput =
  | { readonly kind: "tree"; readonly input: TreeInput }
  | { readonly kind: "file"; readonly input: ListInput; readonly paths: readonly string[] }
  | { readonly kind: "stdin"; readonly input: ListInput };

export interface InputOptions {
  /** What a relative argument is relative to. */
  readonly cwd: string;
  /** A glob comes on top of `include` of none. */
  readonly rules?: InputRules;
  /** Where the argument stands, for the error. */
  readonly where?: string;
}

/** Reads the argument; what exists under exactly this name wins over a glob. @throws {InvalidInputError} */
export function parseInput(argument: string, options: InputOptions): ParsedInput {
  const where = options.where ?? "input";
  if (argument === "") throw fault(where, "a folder, a glob, a file or -", "nothing");
  if (argument === "-") return { kind: "stdin", input: listAt(options.cwd, options.rules) };
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
  readonly rules: InputRules | undefined;
}

function ofExisting(path: string, found: Stats, { argument, where, rules }: Existing): ParsedInput {
  if (found.isDirectory()) return { kind: "tree", input: treeAt(path, rules) };
  if (found.isFile()) {
    return { kind: "file", input: listAt(dirname(path), rules), paths: [basename(path)] };
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
  return { kind: "tree", input: { ...treeAt(root, options.rules), include: [glob.glob] } };
}

function treeAt(root: string, rules: InputRules = {}): TreeInput {
  const { include = [], exclude = [], symlinks = "skip", hidden = false } = rules;
  return { kind: "tree", root, include, exclude, symlinks, hidden };
}

function listAt(root: string, { include = [], exclude = [], symlinks }: InputRules = {}): ListInput {
  return {
    ...{ kind: "list", root },
    ...(include.length > 0 && { include }),
    ...(exclude.length > 0 && { exclude }),
    ...(symlinks !== undefined && { symlinks }),
  };
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
