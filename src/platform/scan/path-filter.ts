/** Which entries of a tree a run takes: include and exclude globs on the relative path, hidden names, own temporary names. */
import picomatch from "picomatch";
import { InvalidInputError, messageOf, type Fault } from "../../contract/errors.ts";
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
  const include = compile("include", rules.include, { dot: rules.hidden });
  const exclude = compile("exclude", rules.exclude, { dot: true });
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

function compile(where: string, patterns: readonly string[], options: picomatch.PicomatchOptions): Matcher | undefined {
  const faults: Fault[] = [];
  const matchers: Matcher[] = [];
  for (const [at, pattern] of patterns.entries()) {
    try {
      // An exclamation mark is a character of a name here: leaving out is what `exclude` is for.
      matchers.push(picomatch(pattern, { ...options, nonegate: true, strictBrackets: true }));
    } catch (error) {
      const expected = `a glob pattern (${messageOf(error).toLowerCase()})`;
      faults.push({ where: `input.${where}[${at}]`, expected, found: JSON.stringify(pattern) });
    }
  }
  if (faults.length > 0) throw new InvalidInputError("input", faults);
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
