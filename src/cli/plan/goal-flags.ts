/** The options of `run` that are about goals and plans. */
import { Option } from "commander";
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import type { PlanBudget } from "../../contract/planners.ts";
import type { PlaceOptions } from "../settings.ts";

export interface GoalFlags extends PlaceOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly goal?: string;
  readonly output?: string;
  readonly planner?: string;
  readonly plan?: string;
  readonly set?: readonly string[];
  readonly planOnly?: boolean;
  readonly format?: string;
  readonly approve?: boolean;
  readonly budgetCalls?: string;
  readonly budgetTokens?: string;
  readonly budgetUsd?: string;
}

/** In the order of the help. */
export function goalOptions(): readonly Option[] {
  return [
    new Option("--goal <text>", "what is to be reached; a planner of the configuration makes the flow"),
    new Option("--planner <name>", "who plans (default: the only one, or the one called default)"),
    new Option("--plan <plan>", "a plan that was kept: its id, a file, or the id of an earlier run of it"),
    new Option("--approve", "run the plan only after a person has agreed"),
    new Option("--budget-calls <n>", "calls of the planner at most"),
    new Option("--budget-tokens <n>", "tokens of all calls together at most"),
    new Option("--budget-usd <amount>", "dollars of all calls together at most"),
  ];
}

/** What may stand beside a goal; everything else is about files and would be ignored. */
const beside: ReadonlySet<string> = new Set<keyof GoalFlags>([
  ...([
    "home",
    "redis",
    "store",
    "prefix",
    "config",
    "json",
    "goal",
    "output",
    "planner",
    "plan",
    "planOnly",
    "approve",
  ] as const),
  ...(["set", "planOnly", "format", "approve"] as const),
  ...(["budgetCalls", "budgetTokens", "budgetUsd"] as const),
]);
const ofGoals = ["planner", "budgetCalls", "budgetTokens", "budgetUsd"] as const;

/** Whether a call of `run` is about a goal or a plan. @throws {InvalidInputError} for options that do not go together */
export function isAboutGoal(flags: GoalFlags, childCommand: readonly string[] | undefined): boolean {
  const isGoal = flags.goal !== undefined || flags.plan !== undefined;
  const faults = isGoal ? faultsBesideGoal(flags, childCommand) : faultsWithoutGoal(flags);
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
  return isGoal;
}

function faultsWithoutGoal(flags: GoalFlags): Fault[] {
  const given = ([...ofGoals, "approve"] as const).filter((key) => flags[key] !== undefined);
  return given.map((key) => ({ where: optionOf(key), expected: "--goal or --plan beside it", found: "neither" }));
}

function faultsBesideGoal(flags: GoalFlags, childCommand: readonly string[] | undefined): Fault[] {
  const name = flags.goal === undefined ? "--plan" : "--goal";
  const faults: Fault[] = Object.keys(flags)
    .filter((key) => !beside.has(key))
    .map((key) => ({ where: optionOf(key), expected: `no such option beside ${name}`, found: "one" }));
  if (childCommand !== undefined) {
    faults.push({ where: "command", expected: `none beside ${name}`, found: JSON.stringify(childCommand.join(" ")) });
  }
  if (flags.goal?.trim() === "") faults.push({ where: "--goal", expected: "a text", found: "an empty one" });
  if (flags.plan === undefined) return faults;
  const both = (["goal", ...ofGoals] as const).filter((key) => flags[key] !== undefined);
  return [
    ...faults,
    ...both.map((key) => ({ where: optionOf(key), expected: "no such option beside --plan", found: "one" })),
  ];
}

function optionOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The budget of the configuration with the options on top. @throws {InvalidInputError} */
export function budgetOf(configured: PlanBudget, flags: GoalFlags): PlanBudget {
  const faults: Fault[] = [];
  const whole = (key: "budgetCalls" | "budgetTokens"): number | undefined => {
    const text = flags[key];
    if (text === undefined || /^[1-9]\d{0,14}$/.test(text)) return text === undefined ? undefined : Number(text);
    faults.push({ where: optionOf(key), expected: "a whole number, 1 at least", found: JSON.stringify(text) });
    return undefined;
  };
  const dollars = (text: string | undefined): number | undefined => {
    if (text === undefined) return undefined;
    const amount = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : 0;
    if (amount > 0) return amount;
    faults.push({ where: "--budget-usd", expected: "an amount above 0, such as 0.50", found: JSON.stringify(text) });
    return undefined;
  };
  const [calls, tokens, usd] = [whole("budgetCalls"), whole("budgetTokens"), dollars(flags.budgetUsd)];
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
  return {
    ...configured,
    ...(calls !== undefined && { calls }),
    ...(tokens !== undefined && { tokens }),
    ...(usd !== undefined && { usd }),
  };
}
