/** The glob patterns that rules of inputs are made of. */
import picomatch from "picomatch";
import { messageOf } from "./errors.ts";
import { field, showPath, type PathFault } from "./schema-faults.ts";

/** An exclamation mark is a character of a name here: leaving out is what `exclude` is for. */
export const strictGlobs = { nonegate: true, strictBrackets: true } as const;

/**
 * The patterns of `include` and `exclude` that are none; `at` is where the rules stand. What is no list of texts is left
 * to others.
 */
export function globFaults(rules: unknown, at: readonly PropertyKey[]): PathFault[] {
  return (["include", "exclude"] as const).flatMap((name) => {
    const patterns: unknown = field(rules, name);
    return Array.isArray(patterns)
      ? patterns.flatMap((pattern: unknown, index) => faultOf([...at, name, index], pattern))
      : [];
  });
}

function faultOf(path: readonly PropertyKey[], pattern: unknown): PathFault[] {
  if (typeof pattern !== "string" || pattern === "") return [];
  try {
    picomatch(pattern, strictGlobs);
    return [];
  } catch (error) {
    const expected = `a glob pattern (${messageOf(error).toLowerCase()})`;
    return [{ path, where: showPath(path), expected, found: JSON.stringify(pattern) }];
  }
}
