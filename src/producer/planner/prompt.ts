/** The prompts: files of one version below `prompts/planner`, filled in with what is asked. Old versions stay as they were. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Template } from "@huggingface/jinja";
import { z } from "zod";
import { InvalidInputError, messageOf, type Fault } from "../../contract/errors.ts";
import type { JsonSchema } from "../../contract/json-schema.ts";
import type { PlanOffer, PromptMessage } from "./planner.ts";

const folder = fileURLToPath(new URL("../../../prompts/planner/", import.meta.url));

/** Enough to see what was wrong; a longer answer would fill the prompt with what is to be replaced. */
const ANSWER_CHARS = 60_000;

const exampleFile = z.strictObject({ goal: z.string().min(1), plan: z.record(z.string(), z.json()) });
/** A goal with a plan that is valid. */
export type PromptExample = Readonly<z.output<typeof exampleFile>>;

export interface Prompt {
  readonly version: string;
  /** Over all files of the version, so that a plan tells which words it came from. */
  readonly sha256: string;
  readonly examples: readonly PromptExample[];
  /** The first question. */
  ask(parts: { readonly goal: string; readonly offer: PlanOffer; readonly schema: JsonSchema }): PromptMessage[];
  /** What is added to a question after an answer with faults. */
  repair(answer: string, faults: readonly Fault[]): PromptMessage[];
}

/** Reads the files of a version. @throws {InvalidInputError} when there is none */
export function loadPrompt(version: string, root = folder): Prompt {
  const files = readVersion(join(root, version), version);
  const text = (name: string): string => {
    const found = files.get(name);
    if (found !== undefined) return found;
    throw faultOf(version, `the file ${name}`, "nothing");
  };
  const [system, ask, repair] = [
    text("system.jinja"),
    new Template(text("ask.jinja")),
    new Template(text("repair.jinja")),
  ];
  const examples = [...files].flatMap(([name, content]) =>
    name.endsWith(".json") ? [parseExample(name, content)] : [],
  );
  const shown = examples.map(({ goal, plan }) => ({ goal, plan: JSON.stringify(plan) }));
  return {
    version,
    sha256: createHash("sha256")
      .update(JSON.stringify([...files]))
      .digest("hex"),
    examples,
    ask: ({ goal, offer, schema }) => [
      { role: "system", content: system },
      {
        role: "user",
        content: ask.render({ goal, offer: listed(offer), schema: JSON.stringify(schema), examples: shown }),
      },
    ],
    repair: (answer, faults) => [
      { role: "assistant", content: answer.slice(0, ANSWER_CHARS) },
      {
        role: "user",
        content: repair.render({ faults: faults.map(({ where, expected, found }) => ({ where, expected, found })) }),
      },
    ],
  };
}

function readVersion(path: string, version: string): ReadonlyMap<string, string> {
  try {
    const names = readdirSync(path, { recursive: true, encoding: "utf8" }).filter((name) =>
      /\.(?:jinja|json)$/.test(name),
    );
    return new Map(names.toSorted().map((name) => [name, readFileSync(join(path, name), "utf8")]));
  } catch (error) {
    throw faultOf(version, "a version of the prompts that is there", messageOf(error), error);
  }
}

function parseExample(name: string, content: string): PromptExample {
  try {
    return exampleFile.parse(JSON.parse(content));
  } catch (error) {
    throw faultOf(name, "an example with a goal and a plan", messageOf(error), error);
  }
}

function faultOf(where: string, expected: string, found: string, cause?: unknown): InvalidInputError {
  return new InvalidInputError("prompts", [{ where: `prompts ${where}`, expected, found }], { cause });
}

function listed(offer: PlanOffer): Record<keyof PlanOffer, string> {
  const of = (names: readonly string[] | "any"): string =>
    names === "any" ? "any" : names.length === 0 ? "none" : names.join(", ");
  const { binaries, read, write, tools, models, agents, profiles, variables, network, limits } = offer;
  return {
    ...{ binaries: of(binaries), read: of(read), write: of(write), tools: of(tools), models: of(models) },
    ...{ agents: of(agents), profiles: of(profiles), variables: of(variables), network: network ? "yes" : "none" },
    limits: of(Object.entries(limits).flatMap(([name, limit]) => (limit === undefined ? [] : [`${name} ${limit}`]))),
  };
}
