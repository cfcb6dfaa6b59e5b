/** A scenario: what is asked of whom under which rules, and what must come of it. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { allowSchema } from "../../contract/allow.ts";
import { InvalidInputError, messageOf, type Fault } from "../../contract/errors.ts";
import { nodeKinds } from "../../contract/flows.ts";
import { keysAt, type JsonSchema } from "../../contract/json-schema.ts";
import { outcomes } from "../../contract/outcomes.ts";
import { plannerSchema } from "../../contract/planners.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { schemaFaults } from "../../contract/schema-faults.ts";

const text = z.string().min(1);
const count = z.int().nonnegative();

/** How planning ends. `refused`: no plan passed. `budget`: it would have cost too much. */
export const planEndings = ["accepted", "refused", "unavailable", "budget", "declined"] as const;
export type PlanEnding = (typeof planEndings)[number];

const expectation = z.strictObject({
  ending: z.enum(planEndings).default("accepted"),
  /** Exactly these ids. */
  nodes: z.array(text).optional(),
  /** Exactly these, as `from -> to`. */
  edges: z.array(z.string().regex(/^\S+ -> \S+$/, 'an edge such as "a -> b"')).optional(),
  kinds: z.record(text, z.enum(nodeKinds)).default({}),
  /** Each must occur in a fault that an answer was refused for. */
  refusals: z.array(text).default([]),
  repairs: count.optional(),
  /** What it may cost at most. */
  most: z
    .strictObject({ calls: count.optional(), tokens: count.optional(), usd: z.number().nonnegative().optional() })
    .prefault({}),
  /** Of the run, once the flow has run. */
  state: z.enum(["succeeded", "failed", "cancelled", "broken"]).optional(),
  /** By node, once the flow has run. */
  outcomes: z.record(text, z.enum(outcomes)).default({}),
  /** Names by node, once the flow has run. */
  artifacts: z.record(text, z.array(text)).default({}),
});
export type Expectation = Readonly<z.output<typeof expectation>>;

const scenarioFile = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "lower-case letters, digits and -"),
  description: z.string().default(""),
  /** What a planner is asked; or `flow`. */
  goal: text.optional(),
  /** A flow file, relative to this one. */
  flow: text.optional(),
  /** A planner of the configuration by its name, or one of its own. */
  planner: z.union([text, plannerSchema]).optional(),
  allow: allowSchema.prefault({}),
  /** Copied for every run of the scenario; `{fixtures}` in `inputs` is the copy. */
  fixtures: text.optional(),
  inputs: z.record(text, z.union([z.string(), z.number(), z.boolean()])).default({}),
  repeats: z.int().min(1).max(1_000).default(1),
  expect: expectation.prefault({}),
});
/** With absolute paths. */
export type Scenario = Readonly<z.output<typeof scenarioFile>> & { readonly path: string };

/** Those that come with the package. */
const shipped = fileURLToPath(new URL("../../../eval/", import.meta.url));

/** The scenarios of files and folders; without any, those of the package. @throws {InvalidInputError} with every fault */
export function loadScenarios(paths: readonly string[], cwd: string): Scenario[] {
  const files = (paths.length === 0 ? [shipped] : paths).flatMap((path) => filesOf(resolveFrom(cwd, path)));
  const faults: Fault[] = [];
  const scenarios = files.flatMap((path) => {
    const loaded = loadScenario(path);
    if (Array.isArray(loaded)) faults.push(...loaded);
    return Array.isArray(loaded) ? [] : [loaded];
  });
  const seen = new Map<string, string>();
  for (const { name, path } of scenarios) {
    const earlier = seen.get(name);
    if (earlier !== undefined)
      faults.push({ where: `${path}: name`, expected: "another name", found: `that of ${earlier}` });
    seen.set(name, path);
  }
  if (faults.length > 0) throw new InvalidInputError("scenarios", faults);
  return scenarios;
}

/** A file, or the scenarios in a folder. */
function filesOf(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw faulty([{ where: path, expected: "a scenario or a folder of them", found: "nothing" }]);
  if (!stat.isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => /\.ya?ml$/.test(name));
  if (names.length === 0) throw faulty([{ where: path, expected: "a scenario, NAME.yaml, at least", found: "none" }]);
  return names.toSorted().map((name) => join(path, name));
}

function loadScenario(path: string): Scenario | Fault[] {
  let raw: unknown;
  try {
    raw = parseYaml(readFileSync(path, "utf8"), { maxAliasCount: 100 });
  } catch (error) {
    return [{ where: path, expected: "valid YAML", found: messageOf(error) }];
  }
  const parsed = scenarioFile.safeParse(raw);
  if (!parsed.success) {
    const faults = schemaFaults(parsed.error.issues, raw, (at) => keysAt(schema(), at));
    return faults.map(({ where, expected, found }) => ({ where: `${path}: ${where}`, expected, found }));
  }
  const { goal, flow, planner, fixtures } = parsed.data;
  if ((goal === undefined) === (flow === undefined)) {
    return [
      { where: `${path}: goal`, expected: "either a goal or a flow", found: goal === undefined ? "neither" : "both" },
    ];
  }
  const anchored = (value: string): string => resolve(dirname(path), value);
  return {
    ...parsed.data,
    path,
    ...(flow !== undefined && { flow: anchored(flow) }),
    ...(fixtures !== undefined && { fixtures: anchored(fixtures) }),
    ...(typeof planner === "object" && { planner: withAnchors(planner, anchored) }),
  };
}

function withAnchors(planner: Exclude<Scenario["planner"], string | undefined>, anchored: (value: string) => string) {
  if (planner.kind === "recorded") return { ...planner, folder: anchored(planner.folder) };
  return planner.kind === "model" ? { ...planner, model: anchored(planner.model) } : planner;
}

function schema(): JsonSchema {
  return z.toJSONSchema(scenarioFile, { io: "input", unrepresentable: "any" }) as JsonSchema;
}

function faulty(faults: readonly Fault[]): InvalidInputError {
  return new InvalidInputError("scenarios", faults);
}
