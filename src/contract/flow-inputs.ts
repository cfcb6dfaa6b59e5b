/** The inputs of a flow: what it is started with, and what a flow node hands to the flow in it. */
import { isLiteral, parseTemplate } from "./flow-templates.ts";
import type { FlowDocument, FlowNode } from "./flows.ts";
import { oneOf, showFound, type PathFault } from "./schema-faults.ts";

export type InputValue = string | number | boolean;

export type InputsResult =
  | { readonly kind: "valid"; readonly values: Readonly<Record<string, InputValue>> }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

export type FlowInput = FlowDocument["inputs"][string];

const typeNames = { string: "a text", number: "a number", boolean: "true or false" } as const;

/**
 * The values of a flow's inputs: those given, else the defaults. Texts count as numbers, and as true or false, where the
 * input is one: the command line has nothing but texts.
 */
export function resolveInputs(
  { inputs }: Pick<FlowDocument, "inputs">,
  given: Readonly<Record<string, unknown>>,
): InputsResult {
  const faults = unknownInputs(inputs, Object.keys(given)).map((fault) => placed(fault, []));
  const values: Record<string, InputValue> = {};
  for (const [name, input] of Object.entries(inputs)) {
    const value = Object.hasOwn(given, name) ? given[name] : input.default;
    const typed = value === undefined ? undefined : typedValue(value, input.type);
    if (typed !== undefined) values[name] = typed;
    else faults.push(placed({ name, expected: typeNames[input.type], found: showFound(value, [name]) }, []));
  }
  return faults.length > 0 ? { kind: "faulty", faults } : { kind: "valid", values };
}

/** What a flow node hands over when it runs, as the types say. */
export function typeInputs(
  types: Readonly<Record<string, FlowInput["type"]>>,
  given: Readonly<Record<string, unknown>>,
): InputsResult {
  const inputs = Object.entries(types).map(([name, type]) => [name, { type }] as const);
  return resolveInputs({ inputs: Object.fromEntries(inputs) }, given);
}

/** What is wrong with the inputs that a flow node hands on; paths begin at the node. */
export function handedInputFaults(
  given: Extract<FlowNode, { kind: "flow" }>["inputs"],
  inputs: FlowDocument["inputs"],
): PathFault[] {
  const problems = unknownInputs(inputs, Object.keys(given));
  for (const [name, input] of Object.entries(inputs)) {
    const value = Object.hasOwn(given, name) ? given[name] : input.default;
    if (value !== undefined && (!isKnown(value) || typedValue(value, input.type) !== undefined)) continue;
    problems.push({ name, expected: typeNames[input.type], found: showFound(value, [name]) });
  }
  return problems.map((problem) => placed(problem, ["inputs"]));
}

/** Inputs whose default is of another type. */
export function defaultFaults(inputs: FlowDocument["inputs"]): PathFault[] {
  return Object.entries(inputs)
    .filter(([, { type, default: value }]) => value !== undefined && typeof value !== type)
    .map(([name, { type, default: value }]) => ({
      path: ["inputs", name, "default"],
      where: `inputs.${name}.default`,
      expected: `${typeNames[type]}, as its type says`,
      found: showFound(value, [name]),
    }));
}

interface InputProblem {
  readonly name: string;
  readonly expected: string;
  readonly found: string;
}

function unknownInputs(inputs: FlowDocument["inputs"], names: readonly string[]): InputProblem[] {
  const known = Object.keys(inputs);
  const expected = (name: string) => (known.length === 0 ? "no inputs: the flow has none" : oneOf(known, name));
  return names
    .filter((name) => !Object.hasOwn(inputs, name))
    .map((name) => ({ name, expected: expected(name), found: `the unknown input ${JSON.stringify(name)}` }));
}

function placed({ name, expected, found }: InputProblem, before: readonly string[]): PathFault {
  const path = [...before, name];
  return { path, where: path.join("."), expected, found };
}

function isKnown(value: InputValue): boolean {
  if (typeof value !== "string") return true;
  const parsed = parseTemplate(value);
  return parsed.kind === "parsed" && isLiteral(parsed.parts);
}

/** The value as its type; undefined when it is none. */
export function typedValue(value: unknown, type: FlowInput["type"]): InputValue | undefined {
  if (typeof value === type) return isFiniteValue(value) ? (value as InputValue) : undefined;
  if (typeof value !== "string") return undefined;
  if (type === "boolean") return value === "true" ? true : value === "false" ? false : undefined;
  return type === "number" && /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(value) ? Number(value) : undefined;
}

function isFiniteValue(value: unknown): boolean {
  return typeof value !== "number" || Number.isFinite(value);
}
