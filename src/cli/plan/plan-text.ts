/** A plan and the way to it, for people. Pure. */
import type { Fault } from "../../contract/errors.ts";
import type { PlanSpent, StoredPlan } from "../../contract/stored-plan.ts";
import type { PlanEvent } from "../../producer/planner/plan-goal.ts";
import { formatCount, formatDuration } from "../format.ts";
import type { Style } from "../style.ts";

const SHOWN_FAULTS = 10;

/** One step, as it is told while a plan is made. */
export function eventText(event: PlanEvent): string {
  switch (event.kind) {
    case "asked":
      return `call ${event.call}: asked (${formatCount(event.chars)} characters)`;
    case "answered":
      return `call ${event.call}: answered after ${formatDuration(event.durationMs)}${tokensText(event.usage)}`;
    case "failed":
      return `call ${event.call}: no answer, ${event.failure}: ${printable(event.message)}`;
    case "waiting":
      return `waiting ${formatDuration(event.waitMs)}`;
    case "refused":
      return [`call ${event.call}: refused`, ...faultLines(event.faults)].join("\n");
    case "accepted":
      return `call ${event.call}: accepted, ${event.nodes} ${event.nodes === 1 ? "node" : "nodes"}`;
    case "declined":
      return `call ${event.call}: the planner says that it cannot be done: ${printable(event.why)}`;
    case "stopped":
      return `no plan (${event.cause})`;
  }
}

function tokensText(usage: Extract<PlanEvent, { kind: "answered" }>["usage"]): string {
  return usage === null ? "" : `, ${formatCount(usage.inputTokens)} + ${formatCount(usage.outputTokens)} tokens`;
}

function faultLines(faults: readonly Fault[]): string[] {
  const lines = faults
    .slice(0, SHOWN_FAULTS)
    .map(({ where, expected, found }) => printable(`  ${where}: expected ${expected}, found ${found}`));
  const more = faults.length - SHOWN_FAULTS;
  return more > 0 ? [...lines, `  and ${more} more`] : lines;
}

/** What a model or an endpoint wrote can move no cursor. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Where a plan comes from, on the lines below its drawing. */
export function originText({ planner, prompt, spent, graphSha256 }: StoredPlan, style: Style): string {
  const by = `${planner.name}${planner.model === null ? "" : ` (${planner.model})`}, prompt ${prompt.version}`;
  return [style.dim(`planned by ${by}: ${spentText(spent)}`), style.dim(`graph ${graphSha256}`)].join("\n");
}

/** `2 calls, 1 repair, 1,234 tokens, $0.0100`. */
function spentText({ calls, repairs, inputTokens, outputTokens, costUsd, isEstimated }: PlanSpent): string {
  const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
  const tokens = `${isEstimated ? "about " : ""}${formatCount(inputTokens + outputTokens)} tokens`;
  const cost = costUsd === null ? [] : [`$${costUsd.toFixed(4)}`];
  return [plural(calls, "call"), plural(repairs, "repair"), tokens, ...cost].join(", ");
}
