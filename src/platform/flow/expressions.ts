/**
 * What the expressions and templates of a flow yield. An expression is parsed once. One that may take long is rewritten so
 * that every sum and every join is measured as it grows, and is evaluated under a time limit, as regular expressions and
 * lists of lists cannot be told to be short. All other expressions take time that grows with their own text alone.
 */
import { createContext, Script } from "node:vm";
import { messageOf } from "../../contract/errors.ts";
import {
  createFlowEnvironment,
  parseExpression,
  problemOf,
  showExpression,
  type ExpressionProblem,
} from "../../contract/flow-expressions.ts";
import { field } from "../../contract/schema-faults.ts";
import { parseTemplate, type TemplatePart } from "../../contract/flow-templates.ts";
import { boundedSource, ExpressionSizeError, registerBounds } from "./bounded-expression.ts";
import { fromCel, toCel, type CelValue } from "./cel-values.ts";

/** What the names of an expression stand for; made once for all expressions of a moment, by `createScope`. */
export interface FlowScope {
  readonly names: Readonly<Record<string, CelValue>>;
}

/** As JSON has it; a name that is not known yet is absent. */
export interface ScopeValues {
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly nodes: Readonly<Record<string, unknown>>;
  readonly run: { readonly id: string; readonly folder: string };
}

export type Evaluated<T> =
  | { readonly kind: "value"; readonly value: T }
  | ({ readonly kind: "faulty"; readonly expression: string } & ExpressionProblem);

const TIME_LIMIT_MS = 250;
const MAX_RESULT_CHARS = 1_048_576;
const MAX_ARGUMENTS = 100_000;
const KEPT_EXPRESSIONS = 1_000;

const environment = registerBounds(createFlowEnvironment());
type Evaluate = (names: FlowScope["names"]) => unknown;
type Compiled =
  | { readonly kind: "compiled"; readonly evaluate: Evaluate }
  | { readonly kind: "faulty"; readonly problem: ExpressionProblem };

/** The least recently used go first. */
const compiled = new Map<string, Compiled>();

/** The values for the expressions of a node, which are to be JSON. */
export function createScope(values: ScopeValues): FlowScope {
  return lazily(() => ({ inputs: toCel(values.inputs), nodes: toCel(values.nodes), run: toCel(values.run) }));
}

/** Most nodes of a large flow name nothing. */
function lazily(make: () => FlowScope["names"]): FlowScope {
  let names: FlowScope["names"] | undefined;
  return {
    get names() {
      return (names ??= make());
    },
  };
}

/** The same for one instance of a node with a `foreach`. */
export function withItem(scope: FlowScope, item: unknown, index: number): FlowScope {
  return lazily(() => ({ ...scope.names, item: toCel(item), index: BigInt(index) }));
}

/** The value of an expression, as JSON. */
export function evaluateExpression(expression: string, scope: FlowScope): Evaluated<unknown> {
  const faulty = (problem: ExpressionProblem): Evaluated<never> => ({ kind: "faulty", expression, ...problem });
  const parsed = compiledOf(expression);
  if (parsed.kind === "faulty") return faulty(parsed.problem);
  try {
    const result = fromCel(parsed.evaluate(scope.names));
    return result.kind === "value" ? result : faulty(result);
  } catch (error) {
    return faulty(evaluationProblem(error, expression));
  }
}

/** Of a `when`. */
export function evaluateCondition(expression: string, scope: FlowScope): Evaluated<boolean> {
  const result = evaluateExpression(expression, scope);
  if (result.kind === "faulty") return result;
  const { value } = result;
  if (typeof value === "boolean") return { kind: "value", value };
  return { kind: "faulty", expression, expected: "true or false", found: shortOf(value) };
}

/** Of a `foreach`. */
export function evaluateList(expression: string, scope: FlowScope): Evaluated<readonly unknown[]> {
  const result = evaluateExpression(expression, scope);
  if (result.kind === "faulty") return result;
  const { value } = result;
  if (Array.isArray(value)) return { kind: "value", value };
  return { kind: "faulty", expression, expected: "a list", found: shortOf(value) };
}

/** The text of a template: expressions in it yield texts, numbers, or true and false. */
export function expandTemplate(template: string, scope: FlowScope): Evaluated<string> {
  const parts = partsOf(template);
  if (parts.kind === "faulty") return parts;
  let text = "";
  for (const part of parts.value) {
    const piece = pieceOf(part, scope);
    if (piece.kind === "faulty") return piece;
    text += piece.value;
    if (text.length > MAX_RESULT_CHARS) return tooLong(template);
  }
  return { kind: "value", value: text };
}

/** The value of a template: one that is a single expression keeps its type, any other is a text. */
export function expandValue(template: string, scope: FlowScope): Evaluated<unknown> {
  const single = singleExpression(template);
  return single === undefined ? expandTemplate(template, scope) : evaluateExpression(single, scope);
}

/** The arguments of a command: a template that is a single expression may yield a list, which becomes several. */
export function expandArguments(command: readonly string[], scope: FlowScope): Evaluated<string[]> {
  const words: string[] = [];
  for (const template of command) {
    const result = expandValue(template, scope);
    if (result.kind === "faulty") return result;
    for (const value of Array.isArray(result.value) ? (result.value as unknown[]) : [result.value]) {
      const word = textOf(value, template);
      if (word.kind === "faulty") return word;
      words.push(word.value);
    }
    if (words.length > MAX_ARGUMENTS) {
      return { kind: "faulty", expression: template, expected: `${MAX_ARGUMENTS} arguments at most`, found: "more" };
    }
  }
  return { kind: "value", value: words };
}

function singleExpression(template: string): string | undefined {
  const parsed = parseTemplate(template);
  if (parsed.kind === "faulty" || parsed.parts.length !== 1) return undefined;
  const [part] = parsed.parts;
  return part?.kind === "expression" ? part.expression : undefined;
}

function partsOf(template: string): Evaluated<readonly TemplatePart[]> {
  const parsed = parseTemplate(template);
  if (parsed.kind === "parsed") return { kind: "value", value: parsed.parts };
  return { kind: "faulty", expression: template, expected: parsed.expected, found: parsed.found };
}

function pieceOf(part: TemplatePart, scope: FlowScope): Evaluated<string> {
  if (part.kind === "text") return { kind: "value", value: part.text };
  const result = evaluateExpression(part.expression, scope);
  return result.kind === "faulty" ? result : textOf(result.value, part.expression);
}

function textOf(value: unknown, expression: string): Evaluated<string> {
  if (typeof value === "string" && value.includes("\0")) {
    return { kind: "faulty", expression, expected: "a text without NUL characters", found: shortOf(value) };
  }
  if (typeof value === "string") return { kind: "value", value };
  if (typeof value === "number" || typeof value === "boolean") return { kind: "value", value: String(value) };
  return { kind: "faulty", expression, expected: "a text, a number, true or false", found: shortOf(value) };
}

function tooLong(expression: string): Evaluated<never> {
  return { kind: "faulty", expression, expected: `${MAX_RESULT_CHARS} characters at most`, found: "more" };
}

function compiledOf(expression: string): Compiled {
  const known = compiled.get(expression);
  compiled.delete(expression);
  const made = known ?? compile(expression);
  compiled.set(expression, made);
  const oldest = compiled.size > KEPT_EXPRESSIONS ? compiled.keys().next().value : undefined;
  if (oldest !== undefined) compiled.delete(oldest);
  return made;
}

function compile(expression: string): Compiled {
  const parsed = parseExpression(expression);
  if (parsed.kind === "faulty") {
    const [problem = { expected: "an expression that holds", found: showExpression(expression) }] = parsed.problems;
    return { kind: "faulty", problem };
  }
  const evaluate = environment.parse(parsed.isCostly ? boundedSource(parsed.ast) : expression);
  return {
    kind: "compiled",
    evaluate: parsed.isCostly
      ? (names) => underLimit(() => evaluate(names) as unknown)
      : (names) => evaluate(names) as unknown,
  };
}

const call = new Script("work()");
const limited = createContext({ work: undefined as unknown });

/** A time limit that holds within regular expressions and loops of the library too: V8 itself ends them. */
function underLimit<T>(work: () => T): T {
  limited["work"] = work;
  try {
    return call.runInContext(limited, { timeout: TIME_LIMIT_MS }) as T;
  } finally {
    limited["work"] = undefined;
  }
}

function evaluationProblem(error: unknown, expression: string): ExpressionProblem {
  if (error instanceof ExpressionSizeError) return error.problem;
  // Of the other context, and so no Error of this one.
  if (field(error, "code") === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
    const expected = `an expression that is done within ${TIME_LIMIT_MS} ms`;
    return { expected, found: `one that takes longer: ${showExpression(expression)}` };
  }
  if (error instanceof RangeError) {
    return { expected: "values of an ordinary size", found: `${messageOf(error)} in ${showExpression(expression)}` };
  }
  return problemOf(error, expression);
}

function shortOf(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
