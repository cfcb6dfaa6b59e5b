/** The nodes that expressions of a node name. */
import { parseExpression } from "../../contract/flow-expressions.ts";
import type { FlowText } from "../../contract/flow-references.ts";
import { parseTemplate } from "../../contract/flow-templates.ts";

export function nodesNamedIn(texts: readonly FlowText[]): Set<string> {
  const named = new Set<string>();
  for (const { text, kind } of texts) {
    for (const expression of kind === "template" ? expressionsIn(text) : [text]) {
      const parsed = parseExpression(expression);
      if (parsed.kind === "faulty") continue;
      for (const { root, name } of parsed.references) if (root === "nodes" && name !== undefined) named.add(name);
    }
  }
  return named;
}

function expressionsIn(template: string): string[] {
  const parsed = parseTemplate(template);
  if (parsed.kind === "faulty") return [];
  return parsed.parts.flatMap((part) => (part.kind === "expression" ? [part.expression] : []));
}
