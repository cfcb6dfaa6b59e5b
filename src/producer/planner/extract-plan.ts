/**
 * From what a planner wrote to the one plan in it, pure. Answers hold prose, fences, drafts and quotations; exactly one
 * plan is wanted, so that what is run can be no other one than what was meant. Nothing is mended and nothing is guessed:
 * what is not plain JSON goes back with the place.
 */
import { readJson, placeOf } from "../../contract/strict-json.ts";
import type { PathFault } from "../../contract/schema-faults.ts";
import { canonicalJson } from "../../contract/flow-plan.ts";

export type Extraction =
  | { readonly kind: "plan"; readonly written: Readonly<Record<string, unknown>> }
  /** The planner says that it cannot be done, and why. */
  | { readonly kind: "declined"; readonly why: string }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

const SHOWN_CHARS = 1_000;

type Candidate = Readonly<Record<string, unknown>>;

/** The plan of an answer: an object with `nodes`, or with `impossible` alone. Linear in the length of the text. */
export function extractPlan(text: string): Extraction {
  const { objects, firstFault } = objectsIn(text);
  // One that is broken may be the one that was meant.
  if (firstFault !== undefined) return { kind: "faulty", faults: [firstFault] };
  const [said, ...others] = distinct(objects.filter((object) => isPlan(object) || isRefusal(object)));
  if (said === undefined) {
    return faulty("a plan: one JSON object with nodes", objects.length > 0 ? "other objects" : "no JSON object");
  }
  if (others.length > 0) return faulty("exactly one plan", `${others.length + 1} different ones`);
  if (isPlan(said)) return { kind: "plan", written: said };
  return { kind: "declined", why: String(said["impossible"]).slice(0, SHOWN_CHARS) };
}

function isPlan(object: Candidate): boolean {
  return Object.hasOwn(object, "nodes");
}

function isRefusal(object: Candidate): boolean {
  return typeof object["impossible"] === "string" && Object.keys(object).length === 1;
}

function faulty(expected: string, found: string): Extraction {
  return { kind: "faulty", faults: [{ path: [], where: "the answer", expected, found }] };
}

/** A brace with anything else behind it is prose. */
const OBJECT_START = /\{[ \t\n\r]*["}]/g;

/** Every whole object that is not part of another one, up to the first that is broken, and the fault of that. */
function objectsIn(text: string): { objects: readonly Candidate[]; firstFault: PathFault | undefined } {
  const objects: Candidate[] = [];
  const start = new RegExp(OBJECT_START);
  for (let found = start.exec(text); found !== null; found = start.exec(text)) {
    const read = readJson(text, found.index);
    if (read.kind === "fault") return { objects, firstFault: faultAt(text, read) };
    objects.push(read.value as Candidate);
    start.lastIndex = read.end;
  }
  return { objects, firstFault: undefined };
}

function faultAt(text: string, read: { at: number; expected: string; found: string }): PathFault {
  const { line, column } = placeOf(text, read.at);
  const where = `the answer, line ${line}, column ${column}`;
  return { path: [], where, expected: `JSON: ${read.expected}`, found: read.found };
}

/** A plan that is repeated word for word, as a draft and as the end, is one. */
function distinct(candidates: readonly Candidate[]): Candidate[] {
  return [...new Map(candidates.map((candidate) => [canonicalJson(candidate), candidate])).values()];
}
