/**
 * What is kept of a plan: `<home>/plans/<id>` with the goal, every answer as it came, every step, and at the end the plan.
 * It has the form that the recorded planner reads, so what a model said once can be asked again offline.
 */
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { InvalidInputError } from "../../contract/errors.ts";
import type { StoredPlan } from "../../contract/stored-plan.ts";
import { makeFolders } from "../../platform/make-folders.ts";
import { loadPlan, writePlan } from "../../platform/plan-file.ts";
import type { PlanEvent } from "../../producer/planner/plan-goal.ts";

const PLAN = "plan.json";
const mode = 0o600;

export class PlanFolder {
  readonly id: string;
  readonly path: string;

  /** Makes the folder. */
  constructor(home: string, id: string, goal: string) {
    this.id = id;
    this.path = join(home, "plans", id);
    makeFolders(this.path);
    writeFileSync(join(this.path, "goal.txt"), `${goal}\n`, { mode });
  }

  get planPath(): string {
    return join(this.path, PLAN);
  }

  /** Keeps one step; an answer becomes a file of its own. */
  record(event: PlanEvent, atMs: number): void {
    const line = event.kind === "answered" ? { ...event, text: this.#keepAnswer(event) } : event;
    if (event.kind === "failed") {
      const { failure, message } = event;
      writeFileSync(join(this.path, `${event.call}.failed.json`), JSON.stringify({ failure, message }), { mode });
    }
    appendFileSync(join(this.path, "events.jsonl"), `${JSON.stringify({ atMs, ...line })}\n`, { mode });
  }

  keep(plan: StoredPlan): void {
    writePlan(this.planPath, plan);
  }

  #keepAnswer({ call, text, usage }: Extract<PlanEvent, { kind: "answered" }>): string {
    writeFileSync(join(this.path, `${call}.txt`), text, { mode });
    if (usage !== null) writeFileSync(join(this.path, `${call}.usage.json`), JSON.stringify(usage), { mode });
    return `${call}.txt`;
  }
}

export interface FoundPlan {
  /** Undefined for a file that is not in the data folder. */
  readonly id: string | undefined;
  readonly path: string;
  readonly plan: StoredPlan;
}

/** The plan of an id of this data folder, or of a file; undefined when there is neither. @throws {InvalidInputError} when it was changed */
export function findPlan(name: string, home: string, cwd: string): FoundPlan | undefined {
  const kept = join(home, "plans", name, PLAN);
  const isId = /^[a-z0-9]+$/.test(name);
  if (isId && existsSync(kept)) return { id: name, path: kept, plan: loadPlan(kept) };
  const path = resolve(cwd, name);
  if (!existsSync(path)) return undefined;
  const isKept = basename(path) === PLAN && dirname(dirname(path)) === join(home, "plans");
  return { id: isKept ? basename(dirname(path)) : undefined, path, plan: loadPlan(path) };
}

/** What is said when nothing has the name of a plan. */
export function noSuchPlan(name: string, home: string): InvalidInputError {
  const expected = `the id of a plan in ${join(home, "plans")}, the id of a run that is a flow, or a file`;
  return new InvalidInputError("command line", [{ where: "--plan", expected, found: `nothing called ${name}` }]);
}
