/** An evaluation, and how it differs from an earlier one, for people. Pure. */
import { formatCount, formatDuration } from "../format.ts";
import type { Style } from "../style.ts";
import type { EvalReport, ScenarioReport } from "./report.ts";

/** The report; with an earlier one, what has changed since. */
export function evalText(report: EvalReport, earlier: EvalReport | undefined, style: Style): string {
  const lines = report.scenarios.flatMap((scenario) => [scenarioLine(scenario, style), ...failureLines(scenario)]);
  const { runs, passed, successRate, planValidity } = report.total;
  const total = `${passed} of ${runs} runs passed (${percent(successRate)}), ${percent(planValidity)} of the answers were plans`;
  const changes =
    earlier === undefined ? [] : ["", style.bold("against the earlier report"), ...changeLines(report, earlier)];
  return [...lines, "", style.bold(total), ...changes].join("\n");
}

function scenarioLine(scenario: ScenarioReport, style: Style): string {
  const { name, runs, passed, answers, validAnswers, repairs, calls, tokens, costUsd, medianMs } = scenario;
  const mark = passed === runs ? style.green("pass") : style.red("FAIL");
  const cost = costUsd === null ? "" : `, $${costUsd.toFixed(4)}`;
  const plans = `${validAnswers}/${answers} plans, ${repairs} repairs, ${calls} calls`;
  return `${mark} ${name}  ${passed}/${runs}  ${plans}, ${formatCount(tokens)} tokens${cost}, ${formatDuration(medianMs)}`;
}

function failureLines({ failures }: ScenarioReport): string[] {
  return failures.flatMap(({ run, faults }) =>
    faults.map(({ where, expected, found }) => `     run ${run}: ${where}: expected ${expected}, found ${found}`),
  );
}

/** What differs, scenario by scenario; equal ones are left out. */
export function changeLines(now: EvalReport, earlier: EvalReport): string[] {
  const before = new Map(earlier.scenarios.map((scenario) => [scenario.name, scenario]));
  const names = new Set(now.scenarios.map(({ name }) => name));
  const lines = now.scenarios.flatMap((scenario) => {
    const old = before.get(scenario.name);
    const changes = old === undefined ? ["new"] : changesOf(old, scenario);
    return changes.length === 0 ? [] : [`${scenario.name}: ${changes.join(", ")}`];
  });
  const gone = earlier.scenarios.filter(({ name }) => !names.has(name)).map(({ name }) => `${name}: not run this time`);
  return lines.length + gone.length === 0 ? ["no difference but time"] : [...lines, ...gone];
}

function changesOf(old: ScenarioReport, now: ScenarioReport): string[] {
  const rate = ({ passed, runs }: ScenarioReport): number => (runs === 0 ? 0 : passed / runs);
  const per = (of: (scenario: ScenarioReport) => number) => (scenario: ScenarioReport) =>
    scenario.runs === 0 ? 0 : of(scenario) / scenario.runs;
  const rows: [string, (scenario: ScenarioReport) => number, (value: number) => string][] = [
    ["passed", rate, percent],
    ["valid answers", ({ answers, validAnswers }) => (answers === 0 ? 0 : validAnswers / answers), percent],
    ["repairs per run", per(({ repairs }) => repairs), short],
    ["calls per run", per(({ calls }) => calls), short],
    ["tokens per run", per(({ tokens }) => tokens), (value) => formatCount(value)],
    ["dollars per run", per(({ costUsd }) => costUsd ?? 0), (value) => value.toFixed(4)],
  ];
  return rows.flatMap(([what, of, show]) => {
    const [a, b] = [show(of(old)), show(of(now))];
    return a === b ? [] : [`${what} ${a} -> ${b}`];
  });
}

function percent(value: number): string {
  return `${Math.round(value * 100)} %`;
}

function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}
