/**
 * How often a node can start. Each failure class has attempts of its own, so what a node can come to is their sum. What a
 * node writes is its wish, and is held against the limits of the operator; what it leaves open is cut to what they leave.
 */
import type { FlowNode } from "./flows.ts";
import { defaultRetryRules, failureClasses, type FailureClass } from "./outcomes.ts";

type Retry = FlowNode["retry"];

/** A lost worker and a broken machine are nobody's fault, so they are counted only where a node writes them. */
const unblamed: ReadonlySet<FailureClass> = new Set<FailureClass>(["node-lost", "infrastructure"]);
/** Who gives first: what the governor ended for memory is no fault of the node either. */
const byNeed: readonly FailureClass[] = [
  "out-of-memory",
  ...failureClasses.filter((name) => name !== "out-of-memory" && !unblamed.has(name)),
];

/** The starts that a node asks for by itself; 1 when it says nothing. */
export function writtenStarts(retry: Retry): number {
  return Object.values(retry ?? {}).reduce((sum, rule) => sum + (rule?.attempts ?? 1) - 1, 1);
}

/** The starts that a node can come to, when what it leaves open is cut to `most`. Gates and flows are not started again. */
export function startsOf({ kind, retry }: FlowNode, most: number): number {
  if (kind === "gate" || kind === "flow") return 1;
  const written = writtenStarts(retry);
  const open = openClasses(retry).reduce((sum, name) => sum + defaultRetryRules[name].attempts - 1, 0);
  return Math.max(written, Math.min(most, written + open));
}

/** The most starts of a node that writes nothing. */
export const USUAL_STARTS = byNeed.reduce((sum, name) => sum + defaultRetryRules[name].attempts - 1, 1);

/** The attempts of the classes that a node leaves open, shared out in turns until there are `most` with what it writes. */
export function cutAttempts(retry: Retry, most: number): ReadonlyMap<FailureClass, number> {
  const attempts = new Map(openClasses(retry).map((name) => [name, 1]));
  for (let left = most - writtenStarts(retry), before = -1; left > 0 && left !== before;) {
    before = left;
    for (const [name, count] of attempts) {
      if (left === 0 || count >= defaultRetryRules[name].attempts) continue;
      attempts.set(name, count + 1);
      left -= 1;
    }
  }
  return attempts;
}

function openClasses(retry: Retry): FailureClass[] {
  return byNeed.filter((name) => retry?.[name]?.attempts === undefined && defaultRetryRules[name].attempts > 1);
}
