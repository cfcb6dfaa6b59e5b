/** Which entries of a tree a run takes: include and exclude globs on the relative path, hidden names, own temporary names. */
import picomatch from "picomatch";
import { InvalidInputError } from "../../contract/errors.ts";
import { globFaults, strictGlobs } from "../../contract/globs.ts";
import { isTemporaryName } from "../../contract/output-names.ts";
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

/** @throws {InvalidInputError} naming every pattern of an input that is none */
export function requireGlobs(input: unknown): void {
  const faults = globFaults(input, ["input"]).map(({ where, expected, found }) => ({ where, expected, found }));
  if (faults.length > 0) throw new InvalidInputError("input", faults);
}

function compile(patterns: readonly string[], options: picomatch.PicomatchOptions): Matcher | undefined {
  const matchers = patterns.map((pattern) => picomatch(pattern, { ...options, ...strictGlobs }));
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
