/** Runs scenarios one after the other, and reports. */
import { readFileSync, writeFileSync } from "node:fs";
import { exitCodes, InvalidInputError, messageOf } from "../../contract/errors.ts";
import { schemaFaults } from "../../contract/schema-faults.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { systemClock } from "../../platform/clock.ts";
import { loadConfig } from "../../platform/config-file.ts";
import { Interrupt } from "../interrupt.ts";
import { outStyle, print, printJson, say, type Io } from "../io.ts";
import { createAskModel } from "../plan/ask-model.ts";
import { startFlow } from "../flow/start-flow.ts";
import { openPlace, placeDefaultsOf } from "../settings.ts";
import { packageVersion } from "../version.ts";
import type { EvalFlags } from "./eval-flags.ts";
import { evalText } from "./report-text.ts";
import { evalReport, summarize, totalOf, type EvalReport, type EvalRun, type ScenarioReport } from "./report.ts";
import { plannerOf, runScenario, type EvalDeps } from "./run-scenario.ts";
import { loadScenarios, type Scenario } from "./scenario.ts";

/** The exit code: 1 when a run of a scenario did not come out as it says. */
export async function runEval(paths: readonly string[], flags: EvalFlags, io: Io): Promise<number> {
  const file = flags.config === undefined ? {} : { file: flags.config };
  const config = loadConfig({ ...file, env: io.env, cwd: io.cwd });
  const scenarios = loadScenarios(paths, io.cwd);
  const repeats = parseRepeats(flags.repeats);
  const earlier = flags.against === undefined ? undefined : loadReport(resolveFrom(io.cwd, flags.against));
  const place = openPlace(flags, io, placeDefaultsOf(config));
  const askModel = createAskModel({ place, io, config });
  const deps = { config, planner: flags.planner, env: io.env, askModel, startFlow, start: { place, io } };
  // A planner that is missing is told before the first of the others has cost anything.
  for (const scenario of scenarios) plannerOf(scenario, deps);
  using interrupt = new Interrupt(() => {
    say(io, "left at once");
  });
  try {
    const startedAtMs = systemClock.nowMs();
    const reports: ScenarioReport[] = [];
    for (const scenario of scenarios) reports.push(await runAll(scenario, { deps, repeats, signal: interrupt.signal }));
    const total = totalOf(reports);
    const report = { version: 1 as const, headroom: packageVersion(), startedAtMs, scenarios: reports, total };
    return tell(report, earlier, { flags, io });
  } catch (error) {
    if (!interrupt.isAsked) throw error;
    say(io, "interrupted; there is no report");
    return exitCodes.interrupted;
  }
}

interface All {
  readonly deps: EvalDeps;
  readonly repeats: number | undefined;
  readonly signal: AbortSignal;
}

async function runAll(scenario: Scenario, { deps, repeats, signal }: All): Promise<ScenarioReport> {
  const runs: EvalRun[] = [];
  for (let at = 0; at < (repeats ?? scenario.repeats); at += 1) {
    signal.throwIfAborted();
    runs.push(await runScenario(scenario, deps, signal));
  }
  return summarize(scenario.name, plannerOf(scenario, deps)?.settings.kind ?? null, runs);
}

function tell(
  report: EvalReport,
  earlier: EvalReport | undefined,
  { flags, io }: { flags: EvalFlags; io: Io },
): number {
  if (flags.output !== undefined)
    writeFileSync(resolveFrom(io.cwd, flags.output), `${JSON.stringify(report, null, 2)}\n`);
  if (flags.json === true) printJson(io, report);
  else print(io, evalText(report, earlier, outStyle(io)));
  return report.total.passed === report.total.runs ? exitCodes.ok : exitCodes.someFailed;
}

function parseRepeats(text: string | undefined): number | undefined {
  if (text === undefined || /^[1-9]\d{0,3}$/.test(text)) return text === undefined ? undefined : Number(text);
  const expected = "a whole number from 1 to 9999";
  throw new InvalidInputError("command line", [{ where: "--repeats", expected, found: JSON.stringify(text) }]);
}

function loadReport(path: string): EvalReport {
  const where = `--against ${path}`;
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new InvalidInputError("command line", [{ where, expected: "a report as JSON", found: messageOf(error) }]);
  }
  const parsed = evalReport.safeParse(raw);
  if (parsed.success) return parsed.data;
  const faults = schemaFaults(parsed.error.issues, raw, () => Object.keys(evalReport.shape));
  throw new InvalidInputError(
    "report",
    faults.map((fault) => ({ ...fault, where: `${where}: ${fault.where}` })),
  );
}
