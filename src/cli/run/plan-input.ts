/** What a run's input is: what the command line or the configuration names, or that of an earlier run. */
import { accessSync, constants } from "node:fs";
import { join, relative } from "node:path";
import type { Config } from "../../contract/config.ts";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import { isInside } from "../../contract/inside.ts";
import type { InputSpec } from "../../contract/run-spec.ts";
import { realPathOf } from "../../platform/confined-path.ts";
import { parseInput, type ParsedInput } from "../../platform/scan/input-argument.ts";
import type { Io } from "../io.ts";
import type { RunFlags } from "../run-flags.ts";
import { openListedInput, type ListedInput } from "./listed-input.ts";

interface InputRequest {
  readonly flags: RunFlags;
  readonly io: Io;
  readonly earlier?: { readonly input: InputSpec } | undefined;
}

export type PlanInput = ParsedInput | { readonly kind: "earlier"; readonly input: InputSpec };

export function parsePlanInput({ flags, io, earlier }: InputRequest, config: Config): PlanInput {
  const argument = config.directories.input;
  if (argument === undefined) {
    if (earlier === undefined) throw missing(placeOf("input", flags), "a folder, a glob, a file or -");
    return { kind: "earlier", input: withRules(earlier.input, flags, config) };
  }
  const where = placeOf("input", flags);
  const { include, exclude, symlinks, hidden } = config.input;
  const parsed = parseInput(argument, { cwd: io.cwd, where, rules: { include, exclude, symlinks, hidden } });
  if (parsed.kind === "stdin" && io.stdin.isTTY === true) {
    const fault = { where, expected: "a list of files on standard input", found: "a terminal" };
    throw new InvalidInputError("run", [fault]);
  }
  if (parsed.kind !== "tree") return parsed;
  refuseUnreadable(parsed.input.root, where);
  // Two ways to name a folder must not hide that the output lies in it.
  return { ...parsed, input: { ...parsed.input, root: realPathOf(parsed.input.root) } };
}

/** The input of before, with the rules that this command line gives. */
function withRules(input: InputSpec, flags: RunFlags, { input: rules }: Config): InputSpec {
  if (input.kind !== "tree" && input.kind !== "list") return input;
  const { include, exclude, symlinks, hidden } = rules;
  const given = {
    ...(flags.include !== undefined && { include }),
    ...(flags.exclude !== undefined && { exclude }),
    ...(flags.symlinks !== undefined && symlinks !== undefined && { symlinks }),
  };
  return input.kind === "list"
    ? { ...input, ...given }
    : { ...input, ...given, ...(flags.hidden !== undefined && { hidden }) };
}

/** Reads the list of standard input; the other kinds are there already. */
export async function openInput(
  parsed: PlanInput,
  { flags, io, home, earlier }: InputRequest & { readonly home: string },
): Promise<{ input: InputSpec; list: ListedInput | undefined }> {
  // Outputs are named by the paths below it, so a list that takes the place of another one keeps its root.
  const root = earlier?.input.kind === "list" ? earlier.input.root : undefined;
  if (parsed.kind === "file") return { input: atRoot(parsed, root), list: undefined };
  if (parsed.kind !== "stdin") return { input: parsed.input, list: undefined };
  const separator = flags.null === true ? "nul" : "auto";
  const list = await openListedInput({ stdin: io.stdin, cwd: io.cwd, home, separator, root });
  const paths = list.paths === undefined ? {} : { paths: [...list.paths] };
  return { input: { ...parsed.input, root: list.root, ...paths }, list };
}

/** A single file as a list; relative to this root where it lies below it. */
function atRoot({ input, paths }: Extract<PlanInput, { kind: "file" }>, root = input.root): InputSpec {
  const files = paths.map((path) => join(input.root, path));
  if (!files.every((file) => file !== root && isInside(root, file))) return { ...input, paths: [...paths] };
  return { ...input, root, paths: files.map((file) => relative(root, file)) };
}

/** @throws {InvalidInputError} when nothing is at what `--input` names */
export function refuseMissing(argument: string, { cwd }: Io): void {
  const parsed = parseInput(argument, { cwd, where: "--input" });
  if (parsed.kind === "tree") refuseUnreadable(parsed.input.root, "--input");
}

function refuseUnreadable(folder: string, where: string): void {
  try {
    accessSync(folder, constants.R_OK | constants.X_OK);
  } catch (error) {
    const expected = `a folder at ${folder} that can be read`;
    throw new InvalidInputError("run", [{ where, expected, found: messageOf(error) }], { cause: error });
  }
}

/** Where a person would write it: in the file, if there is one, unless an option says it. */
export function placeOf(name: "input" | "output", flags: RunFlags): string {
  return flags.config !== undefined && flags[name] === undefined ? `directories.${name}` : `--${name}`;
}

export function missing(where: string, expected: string): InvalidInputError {
  return new InvalidInputError("run", [{ where, expected, found: "nothing" }]);
}
