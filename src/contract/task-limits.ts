/** What an agent starts in turn: the operator's rules, narrowed by the task that the agent works on. Pure. */
import { TASK_VARIABLE, taskMessage, type TaskMessage } from "./agents.ts";
import { ANY, sandboxLevels, type Allow, type FlowLimits, type SandboxLevel } from "./allow.ts";
import { InvalidInputError } from "./errors.ts";
import { schemaFaults } from "./schema-faults.ts";

/**
 * The task that a process of an agent is told of by its variables; undefined outside agents.
 * @throws {InvalidInputError} when the variable holds none
 */
export function taskOf(env: Readonly<Record<string, string | undefined>>): TaskMessage | undefined {
  const text = env[TASK_VARIABLE];
  if (text === undefined || text === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const found = text.length > 80 ? `${text.slice(0, 80)}…` : text;
    throw new InvalidInputError("task", [{ where: TASK_VARIABLE, expected: "JSON", found }], { cause: error });
  }
  const parsed = taskMessage.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = schemaFaults(parsed.error.issues, value, () => []);
  throw new InvalidInputError(
    "task",
    faults.map(({ where, expected, found }) => ({ where: `${TASK_VARIABLE}.${where}`, expected, found })),
  );
}

/** The rules that hold for what an agent starts: no tool, no money, no time that it has not itself. */
export function narrowAllow(allow: Allow, task: TaskMessage | undefined): Allow {
  if (task === undefined) return allow;
  const { tools, network, sandbox } = task.constraints;
  const known = allow.tools ?? ANY;
  const level = stricter(allow.sandbox, sandbox);
  return {
    ...allow,
    tools: known === ANY ? tools : known.filter((tool) => tools.includes(tool)),
    ...(network === false && { network }),
    ...(level !== undefined && { sandbox: level }),
    limits: narrowLimits(allow.limits ?? {}, task.constraints),
  };
}

/** What the processes of a run are told beside its own variables: an agent cannot have them work beyond its own task. */
export function toldOf(
  task: TaskMessage | undefined,
  env: Readonly<Record<string, string>> = {},
): { readonly env?: Readonly<Record<string, string>> } {
  return task === undefined ? {} : { env: { ...env, [TASK_VARIABLE]: JSON.stringify(task) } };
}

/** The same for a run that is begun again: the task of who began it before is not that of who does now. */
export function toldAnew(task: TaskMessage | undefined, before: Readonly<Record<string, string>>) {
  const { [TASK_VARIABLE]: _earlier, ...own } = before;
  return toldOf(task, own).env ?? own;
}

/** A task of an agent that another one started: no more of anything than that one may have. */
export function narrowTask(task: TaskMessage, outer: TaskMessage["constraints"]): TaskMessage {
  const { constraints: own } = task;
  const least = (mine: number | null, its: number | null) => {
    const most = Math.min(mine ?? Infinity, its ?? Infinity);
    return most === Infinity ? null : most;
  };
  return {
    ...task,
    constraints: {
      tools: own.tools.filter((tool) => outer.tools.includes(tool)),
      max_turns: Math.min(own.max_turns, outer.max_turns),
      max_tokens: least(own.max_tokens, outer.max_tokens),
      max_cost_usd: least(own.max_cost_usd, outer.max_cost_usd),
      timeout_seconds: least(own.timeout_seconds, outer.timeout_seconds),
      network: outer.network === false ? false : own.network,
      sandbox: stricter(own.sandbox ?? undefined, outer.sandbox) ?? null,
    },
  };
}

function narrowLimits(limits: FlowLimits, task: TaskMessage["constraints"]): FlowLimits {
  const least = (mine: number | undefined, its: number | null) => Math.min(mine ?? Infinity, its ?? Infinity);
  const narrowed = {
    turns: least(limits.turns, task.max_turns),
    tokens: least(limits.tokens, task.max_tokens),
    cost_usd: least(limits.cost_usd, task.max_cost_usd),
    total_seconds: least(limits.total_seconds, task.timeout_seconds),
  };
  return { ...limits, ...Object.fromEntries(Object.entries(narrowed).filter(([, limit]) => limit !== Infinity)) };
}

function stricter(a: SandboxLevel | undefined, b: SandboxLevel | null): SandboxLevel | undefined {
  const most = Math.max(a === undefined ? -1 : sandboxLevels.indexOf(a), b === null ? -1 : sandboxLevels.indexOf(b));
  return sandboxLevels[most];
}
