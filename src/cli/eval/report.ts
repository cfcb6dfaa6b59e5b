/** What an evaluation found, for programs and to be compared with a later one. Pure. */
import { z } from "zod";

const count = z.int().nonnegative();
const share = z.number().min(0).max(1);
const fault = z.strictObject({ where: z.string(), expected: z.string(), found: z.string() });

const scenarioReport = z.strictObject({
  name: z.string(),
  planner: z.string().nullable(),
  runs: count,
  passed: count,
  /** Of all answers, those that were a plan that may run. */
  answers: count,
  validAnswers: count,
  repairs: count,
  calls: count,
  tokens: count,
  /** Null: some call did not tell. */
  costUsd: z.number().nonnegative().nullable(),
  /** Of planning and of running, the middle of all runs. */
  medianMs: z.number().nonnegative(),
  failures: z.array(z.strictObject({ run: count, faults: z.array(fault) })),
});
export type ScenarioReport = Readonly<z.output<typeof scenarioReport>>;

export const evalReport = z.strictObject({
  version: z.literal(1),
  headroom: z.string(),
  startedAtMs: count,
  scenarios: z.array(scenarioReport),
  total: z.strictObject({ runs: count, passed: count, successRate: share, planValidity: share }),
});
export type EvalReport = Readonly<z.output<typeof evalReport>>;

/** One run of a scenario. */
export interface EvalRun {
  readonly faults: readonly { readonly where: string; readonly expected: string; readonly found: string }[];
  readonly answers: number;
  readonly validAnswers: number;
  readonly repairs: number;
  readonly calls: number;
  readonly tokens: number;
  readonly costUsd: number | null;
  readonly durationMs: number;
}

/** All runs of one scenario together. */
export function summarize(name: string, planner: string | null, runs: readonly EvalRun[]): ScenarioReport {
  const sum = (of: (run: EvalRun) => number): number => runs.reduce((total, run) => total + of(run), 0);
  const isCostKnown = runs.every(({ costUsd }) => costUsd !== null);
  return {
    name,
    planner,
    runs: runs.length,
    passed: runs.filter(({ faults }) => faults.length === 0).length,
    answers: sum((run) => run.answers),
    validAnswers: sum((run) => run.validAnswers),
    repairs: sum((run) => run.repairs),
    calls: sum((run) => run.calls),
    tokens: sum((run) => run.tokens),
    costUsd: isCostKnown ? sum((run) => run.costUsd ?? 0) : null,
    medianMs: median(runs.map(({ durationMs }) => durationMs)),
    failures: runs.flatMap(({ faults }, at) => (faults.length === 0 ? [] : [{ run: at + 1, faults: [...faults] }])),
  };
}

export function totalOf(scenarios: readonly ScenarioReport[]): EvalReport["total"] {
  const sum = (of: (scenario: ScenarioReport) => number): number => scenarios.reduce((all, one) => all + of(one), 0);
  const [runs, passed, answers] = [sum((one) => one.runs), sum((one) => one.passed), sum((one) => one.answers)];
  return {
    runs,
    passed,
    successRate: runs === 0 ? 0 : passed / runs,
    planValidity: answers === 0 ? 0 : sum((one) => one.validAnswers) / answers,
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
