/** Whether what came of a scenario is what it expects. Pure. */
import type { Fault } from "../../contract/errors.ts";
import type { CheckedFlow } from "../../contract/flow-check.ts";
import type { PlanSpent } from "../../contract/stored-plan.ts";
import type { FlowEnd } from "../flow/start-flow.ts";
import type { Expectation, PlanEnding } from "./scenario.ts";

/** One run of a scenario, as it was seen. */
export interface Observed {
  readonly ending: PlanEnding;
  /** Undefined when no plan was accepted. */
  readonly flow: CheckedFlow | undefined;
  /** Of all answers that were refused. */
  readonly refusals: readonly Fault[];
  readonly spent: PlanSpent;
  /** Undefined when the flow was not to be run. */
  readonly end: FlowEnd | undefined;
}

/** What came out otherwise than expected. */
export function judge(expected: Expectation, observed: Observed): Fault[] {
  const faults = [
    ...endingFaults(expected, observed),
    ...graphFaults(expected, observed.flow),
    ...refusalFaults(expected, observed.refusals),
    ...costFaults(expected, observed.spent),
  ];
  return observed.end === undefined ? faults : [...faults, ...endFaults(expected, observed.end)];
}

function endingFaults(expected: Expectation, { ending, refusals }: Observed): Fault[] {
  if (ending === expected.ending) return [];
  const last = refusals.at(-1);
  const why = last === undefined ? "" : ` (${last.where}: expected ${last.expected}, found ${last.found})`;
  return [{ where: "ending", expected: expected.ending, found: `${ending}${why}` }];
}

function graphFaults({ nodes, edges, kinds }: Expectation, flow: CheckedFlow | undefined): Fault[] {
  const found = flow?.document.nodes ?? [];
  const links = found.flatMap((node) => node.needs.map(({ node: from }) => `${from} -> ${node.id}`));
  const ids = found.map(({ id }) => id);
  return [
    ...setFault("nodes", nodes, ids),
    ...setFault("edges", edges, links),
    ...Object.entries(kinds).flatMap(([id, kind]) => {
      const real = found.find((node) => node.id === id)?.kind ?? "no such node";
      return real === kind ? [] : [{ where: `kinds.${id}`, expected: kind, found: real }];
    }),
  ];
}

function setFault(where: string, expected: readonly string[] | undefined, found: readonly string[]): Fault[] {
  if (expected === undefined) return [];
  const shown = (names: readonly string[]): string => names.toSorted().join(", ") || "none";
  return shown(expected) === shown(found) ? [] : [{ where, expected: shown(expected), found: shown(found) }];
}

function refusalFaults({ refusals }: Expectation, found: readonly Fault[]): Fault[] {
  const texts = found.map((fault) => `${fault.where}: expected ${fault.expected}, found ${fault.found}`);
  return refusals
    .filter((part) => !texts.some((text) => text.includes(part)))
    .map((part) => ({ where: "refusals", expected: JSON.stringify(part), found: texts.join("; ") || "no refusal" }));
}

function costFaults({ most, repairs }: Expectation, spent: PlanSpent): Fault[] {
  const faults: Fault[] = [];
  const hold = (where: string, limit: number | undefined, value: number | null): void => {
    if (limit === undefined || (value !== null && value <= limit)) return;
    faults.push({
      where: `most.${where}`,
      expected: `${limit} at most`,
      found: value === null ? "unknown" : String(value),
    });
  };
  hold("calls", most.calls, spent.calls);
  hold("tokens", most.tokens, spent.inputTokens + spent.outputTokens);
  hold("usd", most.usd, spent.costUsd);
  if (repairs === undefined || repairs === spent.repairs) return faults;
  return [...faults, { where: "repairs", expected: String(repairs), found: String(spent.repairs) }];
}

function endFaults({ state, outcomes, artifacts }: Expectation, end: FlowEnd): Fault[] {
  const isOther = state !== undefined && state !== end.state;
  return [
    ...(isOther ? [{ where: "state", expected: state, found: end.state }] : []),
    ...Object.entries(outcomes).flatMap(([id, outcome]) => {
      const real = end.outcomes[id] ?? "no such node";
      return real === outcome ? [] : [{ where: `outcomes.${id}`, expected: outcome, found: real }];
    }),
    ...Object.entries(artifacts).flatMap(([id, names]) => setFault(`artifacts.${id}`, names, end.artifacts[id] ?? [])),
  ];
}
