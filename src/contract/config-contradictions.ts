/** Settings that are right one by one and cannot hold together: the fault stands at one and names the other. */
import { bytes, milliseconds } from "./config-units.ts";
import { field, showFound, showPath, type PathFault } from "./schema-faults.ts";

const size = bytes({ min: 0 });
const pause = milliseconds({ min: 0 });

/** Reads the raw value, so that these are told together with all other faults; what is no value is left to the schema. */
export function contradictions(raw: unknown): PathFault[] {
  return [
    ...sizeOrder(raw),
    ...pauseOrder(raw),
    ...patternsOnBothSides(raw),
    ...profilesTooLarge(raw),
    ...memoryOfNoCard(raw),
  ];
}

/** No input is that large and that small. */
function sizeOrder(raw: unknown): PathFault[] {
  const { min_bytes: least, max_bytes: most } = mappingOf(field(raw, "input"));
  const [min, max] = [size.safeParse(least).data, size.safeParse(most).data];
  if (min === undefined || max === undefined || min <= max) return [];
  return [faultAt(["input", "max_bytes"], `input.min_bytes (${String(least)}) at least`, most)];
}

/** A first pause that is longer than the longest one. */
function pauseOrder(raw: unknown): PathFault[] {
  return Object.entries(mappingOf(field(raw, "retry"))).flatMap(([name, rule]) => {
    const { backoff_ms: first, max_backoff_ms: longest } = mappingOf(rule);
    const [min, max] = [pause.safeParse(first).data, pause.safeParse(longest).data];
    if (min === undefined || max === undefined || min <= max) return [];
    return [
      faultAt(["retry", name, "max_backoff_ms"], `retry.${name}.backoff_ms (${String(first)}) at least`, longest),
    ];
  });
}

/** A pattern that is included and excluded takes no file. */
function patternsOnBothSides(raw: unknown): PathFault[] {
  const { include, exclude } = mappingOf(field(raw, "input"));
  if (!Array.isArray(include) || !Array.isArray(exclude)) return [];
  return exclude.flatMap((pattern: unknown, index) => {
    const at = include.indexOf(pattern);
    return at < 0 ? [] : [faultAt(["input", "exclude", index], `a pattern other than input.include[${at}]`, pattern)];
  });
}

/**
 * A profile that this worker could never serve for the limit it is given. One whose labels it does not carry is for
 * others.
 */
function profilesTooLarge(raw: unknown): PathFault[] {
  const { memory_max: written, labels } = mappingOf(field(raw, "worker"));
  const { memory_threshold_percent: percent } = mappingOf(field(raw, "resources"));
  const limit = size.safeParse(written).data;
  if (limit === undefined) return [];
  const share = typeof percent === "number" && percent > 0 && percent < 100 ? percent : undefined;
  const of = share === undefined ? "" : `resources.memory_threshold_percent (${share}) of `;
  return Object.entries(mappingOf(field(raw, "profiles"))).flatMap(([name, profile]) => {
    const { memory, labels: needed } = mappingOf(profile);
    const asked = size.safeParse(memory).data;
    if (asked === undefined || asked <= (limit * (share ?? 100)) / 100 || !isWithin(needed, labels)) return [];
    return [faultAt(["profiles", name, "memory"], `${of}worker.memory_max (${String(written)}) at most`, memory)];
  });
}

/** The memory of a card that no job of the profile gets. */
function memoryOfNoCard(raw: unknown): PathFault[] {
  return Object.entries(mappingOf(field(raw, "profiles"))).flatMap(([name, profile]) => {
    const { gpu_memory: memory, labels } = mappingOf(profile);
    const all: readonly unknown[] = Array.isArray(labels) ? labels : [];
    if (memory === undefined || all.includes("gpu") || (labels !== undefined && !Array.isArray(labels))) return [];
    return [faultAt(["profiles", name, "gpu_memory"], `profiles.${name}.labels with gpu in it`, memory)];
  });
}

function isWithin(needed: unknown, carried: unknown): boolean {
  const all: readonly unknown[] = Array.isArray(carried) ? carried : [];
  return !Array.isArray(needed) || needed.every((label) => all.includes(label));
}

function mappingOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function faultAt(path: readonly PropertyKey[], expected: string, found: unknown): PathFault {
  return { path, where: showPath(path), expected, found: showFound(found, path) };
}
