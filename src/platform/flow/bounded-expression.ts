/**
 * Rewrites an expression so that whatever makes values larger is measured: `a + b` becomes `sized(a + b)`, and `x.join(y)`
 * becomes `joined(x, y)`. Written out anew with every part in brackets, as the library's own printer leaves some out that
 * are needed (`a - (b - 1)`).
 */
import type { ASTNode, Environment } from "@marcbachmann/cel-js";
import type { ExpressionProblem } from "../../contract/flow-expressions.ts";

const MAX_ENTRIES = 100_000;
const MAX_CHARS = 1_048_576;

/** A value outgrew what an expression may make. */
export class ExpressionSizeError extends Error {
  readonly problem: ExpressionProblem;

  constructor(limit: string) {
    super(`expected ${limit}`);
    this.problem = { expected: limit, found: "more" };
  }
}

/** Makes the functions known that rewritten expressions call. */
export function registerBounds(environment: Environment): Environment {
  return environment
    .registerFunction("sized(dyn): dyn", sized)
    .registerFunction("joined(list): dyn", (list: readonly unknown[]) => joined(list, ""))
    .registerFunction("joined(list, string): dyn", joined);
}

/** The text of a parsed expression with its measures. */
export function boundedSource(node: ASTNode): string {
  if (node.op === "id") return node.args;
  if (node.op === "value") return node.input.slice(node.start, node.end);
  if (node.op === ".") return `${boundedSource(node.args[0])}.${node.args[1]}`;
  if (node.op === "[]") return `${boundedSource(node.args[0])}[${boundedSource(node.args[1])}]`;
  if (node.op === "call") return `${node.args[0]}(${listed(node.args[1])})`;
  if (node.op === "rcall") return methodSource(node.args);
  if (node.op === "list") return `[${listed(node.args)}]`;
  return node.op === "map" ? mappingSource(node.args) : operatorSource(node);
}

function mappingSource(entries: readonly (readonly [ASTNode, ASTNode])[]): string {
  return `{${entries.map(([key, value]) => `${boundedSource(key)}: ${boundedSource(value)}`).join(", ")}}`;
}

const binarySigns: ReadonlySet<string> = new Set("&& || == != < <= > >= in - * / %".split(" "));

function operatorSource(node: ASTNode): string {
  if (node.op === "!_" || node.op === "-_") return `(${node.op.charAt(0)}${boundedSource(node.args)})`;
  if (node.op === "+") return `sized(${sidesOf(node.args, "+")})`;
  if (node.op === "?:") {
    const [condition, yes, no] = node.args;
    return `(${boundedSource(condition)} ? ${boundedSource(yes)} : ${boundedSource(no)})`;
  }
  if (binarySigns.has(node.op)) return `(${sidesOf(node.args as [ASTNode, ASTNode], node.op)})`;
  throw new TypeError(`expected an operator of flows, found ${node.op}`);
}

function sidesOf([left, right]: readonly [ASTNode, ASTNode], sign: string): string {
  return `${boundedSource(left)} ${sign} ${boundedSource(right)}`;
}

function methodSource([name, receiver, args]: readonly [string, ASTNode, ASTNode[]]): string {
  if (name === "join") return `joined(${listed([receiver, ...args])})`;
  return `${boundedSource(receiver)}.${name}(${listed(args)})`;
}

function listed(nodes: readonly ASTNode[]): string {
  return nodes.map(boundedSource).join(", ");
}

function sized(value: unknown): unknown {
  if (typeof value === "string" && value.length > MAX_CHARS) {
    throw new ExpressionSizeError(`texts of ${MAX_CHARS} characters at most`);
  }
  if (Array.isArray(value) && value.length > MAX_ENTRIES) {
    throw new ExpressionSizeError(`lists of ${MAX_ENTRIES} entries at most`);
  }
  return value;
}

function joined(list: readonly unknown[], separator: string): string {
  const texts = list.map((entry) => {
    if (typeof entry === "string") return entry;
    throw new ExpressionSizeError("a list of texts to join");
  });
  const chars = texts.reduce((sum, text) => sum + text.length + separator.length, 0);
  if (chars > MAX_CHARS) throw new ExpressionSizeError(`texts of ${MAX_CHARS} characters at most`);
  return texts.join(separator);
}
