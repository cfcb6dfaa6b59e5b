/**
 * Expressions of flows (CEL): what one says and whether it may. Pure; what it yields is found in platform/flow. Names and
 * functions are taken from closed lists, so that an expression reaches for nothing that the engine does not hand it.
 */
import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from "@marcbachmann/cel-js";
import type { ASTNode } from "@marcbachmann/cel-js";
import { oneOf } from "./schema-faults.ts";

/** One thing of the scope that an expression names: `nodes.fetch.output`, `inputs.lang`, `item`. */
export interface Reference {
  readonly root: ScopeName;
  /** Of an input, a node, or a fact of the run. */
  readonly name?: string;
  /** Of a node: what is asked of it. */
  readonly field?: string;
  /** Of a field: what is asked of that, where it is written out. */
  readonly below?: string;
}

export const scopeNames = ["inputs", "nodes", "run", "item", "index"] as const;
export type ScopeName = (typeof scopeNames)[number];

/** What is wrong with an expression, in words. */
export interface ExpressionProblem {
  readonly expected: string;
  readonly found: string;
}

export interface ParsedExpression {
  readonly kind: "parsed";
  readonly ast: ASTNode;
  /** As far as it can be told without values: `bool`, `string`, `list`, `dyn`… */
  readonly type: string;
  readonly references: readonly Reference[];
  /** It may take long over long lists or texts, so that it is evaluated under a time limit. */
  readonly isCostly: boolean;
}

export type ExpressionParse =
  ParsedExpression | { readonly kind: "faulty"; readonly problems: readonly ExpressionProblem[] };

const MAX_AST_NODES = 500;
const MAX_DEPTH = 32;
/** Each goes through a whole list, so two within one another are a list times a list. */
const MAX_NESTED_MACROS = 2;
const SHOWN_CHARS = 200;

const macros: ReadonlySet<string> = new Set(["all", "exists", "exists_one", "map", "filter"]);
const functions: ReadonlySet<string> = new Set(["size", "has", "string", "int", "double", "bool", "dyn"]);
const methods: ReadonlySet<string> = new Set([
  ...macros,
  ...["size", "startsWith", "endsWith", "contains", "matches", "lowerAscii", "upperAscii", "trim"],
  ...["indexOf", "lastIndexOf", "substring", "split", "join"],
]);
/** These take longer than what they are given is long, or make it longer. */
const costly: ReadonlySet<string> = new Set([...macros, "matches", "split", "join"]);
const runFacts = ["id", "folder"] as const;

/** The language of flows: JSON's numbers are whole or not, so both kinds may stand in one sum. */
export function createFlowEnvironment(): Environment {
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: MAX_AST_NODES, maxDepth: MAX_DEPTH },
  });
  for (const name of ["inputs", "nodes", "run"]) environment.registerVariable(name, "map");
  environment.registerVariable("item", "dyn").registerVariable("index", "int");
  const mixed: Readonly<Record<string, (left: number, right: number) => number>> = {
    "+": (left, right) => left + right,
    "-": (left, right) => left - right,
    "*": (left, right) => left * right,
    "/": (left, right) => left / right,
  };
  for (const [sign, apply] of Object.entries(mixed)) {
    const handler = (left: number | bigint, right: number | bigint) => apply(Number(left), Number(right));
    environment.registerOperator(`int ${sign} double: double`, handler);
    environment.registerOperator(`double ${sign} int: double`, handler);
  }
  return environment;
}

const environment = createFlowEnvironment();

/** Parses and checks an expression by itself; whether its nodes and inputs exist says `flow-references.ts`. */
export function parseExpression(text: string): ExpressionParse {
  try {
    const parsed = environment.parse(text);
    const walk = new Walk();
    walk.visit(parsed.ast, { bound: new Set(), macros: 0 });
    if (walk.problems.length > 0) return { kind: "faulty", problems: walk.problems };
    const checked = parsed.check();
    if (!checked.valid) return faulty(problemOf(checked.error, text));
    const { references, isCostly } = walk;
    return { kind: "parsed", ast: parsed.ast, type: checked.type ?? "dyn", references, isCostly };
  } catch (error) {
    return faulty(problemOf(error, text));
  }
}

/** What an error of the language says, on one line. @throws what is no error of the language */
export function problemOf(error: unknown, text: string): ExpressionProblem {
  const isOfLanguage = error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError;
  if (!isOfLanguage) throw error;
  const at = error.range === undefined ? "" : ` at character ${error.range.start + 1}`;
  return { expected: "an expression that holds", found: `${error.summary}${at} of ${showExpression(text)}` };
}

/** An expression as messages show it. */
export function showExpression(text: string): string {
  return JSON.stringify(text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text);
}

function faulty(problem: ExpressionProblem): ExpressionParse {
  return { kind: "faulty", problems: [problem] };
}

interface Around {
  /** Names that macros have made. */
  readonly bound: ReadonlySet<string>;
  /** Macros around this place. */
  readonly macros: number;
}

/** Goes through a parsed expression once and keeps what it names. */
class Walk {
  readonly references: Reference[] = [];
  readonly problems: ExpressionProblem[] = [];
  isCostly = false;

  visit(node: ASTNode, around: Around): void {
    const { op } = node;
    if (op === "id" || op === "." || op === "[]") this.#path(node, around);
    else if (op === "call") this.#call(node.args, around);
    else if (op === "rcall") this.#method(node.args, around);
    else if (op === "value") this.#literal(node.args);
    else if (op === ".?" || op === "[?]") this.#refuse("no optional access", op);
    else {
      if (op === "+") this.isCostly ||= around.macros > 0 || hasSum(node.args[0]);
      this.#below(node.args, around);
    }
  }

  #below(args: unknown, around: Around): void {
    if (isNode(args)) this.visit(args, around);
    else if (Array.isArray(args)) for (const below of args as unknown[]) this.#below(below, around);
  }

  #path(node: ASTNode, around: Around): void {
    const { root, parts, rest } = unwind(node);
    for (const below of rest) this.visit(below, around);
    if (root === undefined) return;
    if (around.bound.has(root)) return;
    const name = scopeNames.find((known) => known === root);
    if (name === undefined) {
      this.#refuse(oneOf([...scopeNames, ...around.bound], root), `the unknown name ${JSON.stringify(root)}`);
      return;
    }
    this.#refer(name, parts);
  }

  #refer(root: ScopeName, [name, field, below]: readonly (string | undefined)[]): void {
    if (root === "item" || root === "index") this.references.push({ root });
    else if (name === undefined) this.#refuse(`${root}.NAME, or ${root}["NAME"]`, `${root} without a name`);
    else if (root === "run" && !runFacts.some((fact) => fact === name)) {
      this.#refuse(`run.${runFacts.join(" or run.")}`, `run.${name}`);
    } else if (root !== "nodes") this.references.push({ root, name });
    else if (field === undefined) this.#refuse(`a field of the node, such as nodes.${name}.outcome`, `nodes.${name}`);
    else this.references.push({ root, name, field, ...(below !== undefined && { below }) });
  }

  #call([name, args]: readonly [string, ASTNode[]], around: Around): void {
    if (!functions.has(name)) this.#refuse(oneOf([...functions], name), `the function ${name}()`);
    else this.#below(args, around);
  }

  #method([name, receiver, args]: readonly [string, ASTNode, ASTNode[]], around: Around): void {
    if (!methods.has(name)) {
      this.#refuse(oneOf([...methods], name), `the function ${name}()`);
      return;
    }
    this.isCostly ||= costly.has(name);
    this.visit(receiver, around);
    if (macros.has(name)) this.#macro(args, around);
    else this.#below(args, around);
  }

  #macro([variable, ...bodies]: readonly ASTNode[], around: Around): void {
    if (variable?.op !== "id") {
      this.#refuse("a name as the first argument of the macro", "none");
      return;
    }
    if (scopeNames.some((name) => name === variable.args)) {
      this.#refuse(`a name other than ${scopeNames.join(", ")}`, JSON.stringify(variable.args));
    }
    if (around.macros >= MAX_NESTED_MACROS) {
      this.#refuse(`macros within one another ${MAX_NESTED_MACROS} deep at most`, "more");
      return;
    }
    const inner = { bound: new Set([...around.bound, variable.args]), macros: around.macros + 1 };
    this.#below(bodies, inner);
  }

  #literal(value: unknown): void {
    if (value === null || ["string", "number", "bigint", "boolean"].includes(typeof value)) return;
    this.#refuse("texts, numbers, true, false and null", "a literal of bytes or of a number without a sign");
  }

  #refuse(expected: string, found: string): void {
    this.problems.push({ expected, found });
  }
}

function hasSum(node: ASTNode): boolean {
  return node.op === "+" && (node.args[0].op === "+" || node.args[1].op === "+");
}

/** Whether a value is a part of a parsed expression. */
export function isNode(value: unknown): value is ASTNode {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}

interface Path {
  /** Undefined when it does not begin with a name. */
  readonly root: string | undefined;
  /** Undefined where a part is not known before it is evaluated. */
  readonly parts: readonly (string | undefined)[];
  /** What else is to be looked at. */
  readonly rest: readonly ASTNode[];
}

/** `nodes["a"].result[0].x` from its end to its beginning. */
function unwind(node: ASTNode): Path {
  const parts: (string | undefined)[] = [];
  const rest: ASTNode[] = [];
  let at = node;
  for (;;) {
    if (at.op === ".") {
      parts.unshift(at.args[1]);
      at = at.args[0];
    } else if (at.op === "[]") {
      const [inner, key] = at.args;
      parts.unshift(key.op === "value" && typeof key.args === "string" ? key.args : undefined);
      rest.push(key);
      at = inner;
    } else break;
  }
  if (at.op === "id") return { root: at.args, parts, rest };
  return { root: undefined, parts, rest: [at, ...rest] };
}
