/** Which entries of a tree a run takes: include and exclude globs on the relative path, hidden names, own temporary names. */
import picomatch from "picomatch";
import { InvalidInputError, messageOf } from "../../contract/errors.ts";
import { isTemporaryName } from "../../contract/output-names.ts";
import { field, showPath, type PathFault } from "../../contract/schema-faults.ts";
import type { TreeInput } from "./scan-batch.ts";

export interface PathFilter {
  /** Whether a name may be looked at at all; hidden and temporary names are left out. */
  allowsName(name: string): boolean;
  /** Whether a folder can hold a file that is taken. */
  entersFolder(path: string): boolean;
  takesFile(path: string): boolean;
}

type GlobRules = Pick<TreeInput, "include" | "exclude" | "hidden">;

/**
 * A hidden name (leading dot) is left out unless `hidden` is set or an include pattern spells the dot. An excluded folder
 * is excluded with all that is below it. @throws {InvalidInputError} for patterns that are none.
 */
export function createPathFilter(rules: GlobRules): PathFilter {
  requireGlobs(rules);
  const include = compile(rules.include, { dot: rules.hidden });
  const exclude = compile(rules.exclude, { dot: true });
  const reaches = rules.include.map((pattern) => folderReach(pattern, rules.hidden));
  const allowsHidden = rules.hidden || rules.include.some((pattern) => /(?:^|\/)\./.test(pattern));
  return {
    allowsName: (name) => (allowsHidden || !name.startsWith(".")) && !isTemporaryName(name),
    entersFolder: (path) =>
      exclude?.(path) !== true && (reaches.length === 0 || reaches.some((reach) => reach(path.split("/")))),
    takesFile: (path) => include?.(path) !== false && exclude?.(path) !== true,
  };
}

type Matcher = (path: string) => boolean;

/** The patterns that are none, each with its path in the rules of an input; what is no list of texts is left to others. */
export function globFaults(input: unknown): PathFault[] {
  return (["include", "exclude"] as const).flatMap((name) => {
    const patterns: unknown = field(input, name);
    return Array.isArray(patterns) ? patterns.flatMap((pattern: unknown, at) => faultOf(name, at, pattern)) : [];
  });
}

/** @throws {InvalidInputError} naming every pattern of an input that is none */
export function requireGlobs(input: unknown): void {
  const faults = globFaults(input).map(({ where, expected, found }) => ({ where, expected, found }));
  if (faults.length > 0) throw new InvalidInputError("input", faults);
}

function faultOf(name: string, at: number, pattern: unknown): PathFault[] {
  if (typeof pattern !== "string" || pattern === "") return [];
  try {
    picomatch(pattern, strict);
    return [];
  } catch (error) {
    const path = ["input", name, at];
    const expected = `a glob pattern (${messageOf(error).toLowerCase()})`;
    return [{ path, where: showPath(path), expected, found: JSON.stringify(pattern) }];
  }
}

/** An exclamation mark is a character of a name here: leaving out is what `exclude` is for. */
const strict = { nonegate: true, strictBrackets: true } as const;

function compile(patterns: readonly string[], options: picomatch.PicomatchOptions): Matcher | undefined {
  const matchers = patterns.map((pattern) => picomatch(pattern, { ...options, ...strict }));
  if (matchers.length < 2) return matchers[0];
  return (path) => matchers.some((matches) => matches(path));
}

/** Whether files below a folder, given by its parts, can match the pattern: false only where they surely cannot. */
function folderReach(pattern: string, dot: boolean): (parts: readonly string[]) => boolean {
  // A slash inside braces or brackets makes the parts of the pattern something else than its text between slashes.
  if (/[{}()[\]\\]/.test(pattern)) return () => true;
  const segments = pattern.replace(/^(?:\.\/)+/, "").split("/");
  const globstar = segments.findIndex((segment) => segment.includes("**"));
  const leading = (globstar < 0 ? segments.slice(0, -1) : segments.slice(0, globstar)).map((segment) =>
    picomatch(segment, { dot, nonegate: true }),
  );
  return (parts) => {
    if (globstar < 0 && parts.length > leading.length) return false;
    return leading.every((matches, at) => at >= parts.length || matches(parts[at] ?? ""));
  };
}
