/** What the operator's limits say of one call of a flow's node, as the worker sees it: alone, by its specification. Pure. */
import { TASK_VARIABLE } from "./agents.ts";
import { ANY, type Allow } from "./allow.ts";
import { InvalidInputError } from "./errors.ts";
import { writtenStarts } from "./flow-attempts.ts";
import { listed } from "./policy.ts";
import type { AgentLimits, RunSpec } from "./run-spec.ts";
import { showPath, type PathFault } from "./schema-faults.ts";
import { taskOf } from "./task-limits.ts";

/** Limits of a whole flow are those of each of its calls too; runs that are of no flow have none. */
export function callFaults(allow: Allow, spec: RunSpec): PathFault[] {
  const { agent, input, parent, resources, retry } = spec;
  if (agent === undefined && input.kind !== "none" && parent === undefined) return [];
  const { limits = {} } = allow;
  const asked = [
    ["memory", ["resources", "memory"], resources.memoryBytes ?? 0],
    ["attempts", ["retry"], writtenStarts(retry)],
    ...(agent === undefined ? [] : amountsOf(agent)),
  ] as const;
  const over = asked.flatMap(([name, path, amount]) => {
    const limit = limits[name];
    if (limit === undefined || amount <= limit) return [];
    const found = amount === Infinity ? "no bound" : String(amount);
    return [faultOf(path, `${limit} at most (allow.limits.${name})`, found)];
  });
  return agent === undefined ? over : [...over, ...toolFaults(allow, spec)];
}

/** What an agent may use at most; without a bound it may use any amount. */
function amountsOf({ maxTurns = Infinity, maxTokens = Infinity, maxCostUsd = Infinity }: AgentLimits) {
  return [
    ["turns", ["agent", "maxTurns"], maxTurns],
    ["tokens", ["agent", "maxTokens"], maxTokens],
    ["cost_usd", ["agent", "maxCostUsd"], maxCostUsd],
  ] as const;
}

/** The tools of an agent are those that it is told of. */
function toolFaults({ tools: allowed = ANY }: Allow, { env }: RunSpec): PathFault[] {
  if (allowed === ANY) return [];
  const expected = `tools that allow.tools names (${listed(allowed)})`;
  const path = ["env", TASK_VARIABLE];
  try {
    const tools = taskOf(env)?.constraints.tools;
    if (tools === undefined) return [faultOf(path, expected, "nothing that tells them")];
    return tools.filter((tool) => !allowed.includes(tool)).map((tool) => faultOf(path, expected, JSON.stringify(tool)));
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return [faultOf(path, expected, "what tells them of no task")];
  }
}

function faultOf(path: readonly string[], expected: string, found: string): PathFault {
  return { path, where: showPath(path), expected, found };
}
