/** Whether a value is JSON of a size that can be looked at: what a schema would already have gone through by then. */
import { showPath, type PathFault } from "./schema-faults.ts";

const MAX_DEPTH = 64;
const MAX_VALUES = 1_000_000;
const MAX_TEXT = 1_048_576;

interface Place {
  readonly value: unknown;
  readonly path: readonly (string | number)[];
}

/** The first fault of each sort, none for a value that is plain JSON. */
export function shapeFaults(written: unknown): PathFault[] {
  const open: Place[] = [{ value: written, path: [] }];
  for (let seen = 0; open.length > 0; seen += 1) {
    const place = open.pop();
    if (place === undefined) break;
    if (seen >= MAX_VALUES) return [faultAt([], `${MAX_VALUES} values at most`, "more")];
    const fault = faultOf(place);
    if (fault !== undefined) return [fault];
    for (const below of valuesOf(place)) open.push(below);
  }
  return [];
}

function faultOf({ value, path }: Place): PathFault | undefined {
  if (path.length > MAX_DEPTH) return faultAt(path.slice(0, 3), `values ${MAX_DEPTH} deep at most`, "deeper ones");
  if (typeof value === "object" && value !== null) return objectFault(value, path);
  if (typeof value === "string" && value.length > MAX_TEXT) {
    return faultAt(path, `${MAX_TEXT} characters at most`, `${value.length}`);
  }
  if (value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value)) return;
  return faultAt(path, "a value of JSON", typeof value === "number" ? String(value) : `a ${typeof value}`);
}

function objectFault(value: object, path: Place["path"]): PathFault | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = Array.isArray(value) || prototype === Object.prototype || prototype === null;
  if (!isPlain) return faultAt(path, "a value of JSON", "an object of a class");
  return Object.hasOwn(value, "__proto__") ? faultAt(path, "names other than __proto__", "__proto__") : undefined;
}

function* valuesOf({ value, path }: Place): Generator<Place> {
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (const [at, below] of (value as unknown[]).entries()) yield { value: below, path: [...path, at] };
    return;
  }
  for (const [key, below] of Object.entries(value)) {
    // An option that is there without a value is as good as one that is not there.
    if (below !== undefined) yield { value: below, path: [...path, key] };
  }
}

function faultAt(path: readonly (string | number)[], expected: string, found: string): PathFault {
  return { path, where: showPath(path, "the flow"), expected, found };
}
