/** What is approved must be what is run: texts that show something else than they hold are refused. Pure. */
import { showPath, type PathFault } from "./schema-faults.ts";

/**
 * Characters that a person does not see, or that turn the order of what is seen.
 * Line breaks and tabs are visible in scripts; other controls, marks of direction, joiners of no width and tags are not.
 * What Unicode says is shown as nothing where it is not known is one class; a pattern of Braille without dots is a blank.
 */
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2800\ufff9-\ufffb\p{Default_Ignorable_Code_Point}]/u;

/** Every text of a JSON value, keys too, in which something is hidden. */
export function hiddenCharacterFaults(value: unknown, path: readonly (string | number)[] = []): PathFault[] {
  if (typeof value === "string") return hiddenIn(value, path);
  if (Array.isArray(value)) return value.flatMap((item, at) => hiddenCharacterFaults(item, [...path, at]));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => [
    ...hiddenIn(key, path),
    ...hiddenCharacterFaults(below, [...path, key]),
  ]);
}

function hiddenIn(text: string, path: readonly (string | number)[]): PathFault[] {
  const [character] = HIDDEN.exec(text) ?? [];
  if (character === undefined) return [];
  const code = character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0") ?? "";
  return [{ path, where: showPath(path), expected: "characters that can be seen", found: `U+${code}` }];
}
