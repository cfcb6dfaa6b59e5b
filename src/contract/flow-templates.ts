/** Texts with `${expression}` parts; `$${` stands for the characters `${` themselves. */

export type TemplatePart =
  { readonly kind: "text"; readonly text: string } | { readonly kind: "expression"; readonly expression: string };

export type TemplateParse =
  | { readonly kind: "parsed"; readonly parts: readonly TemplatePart[] }
  | { readonly kind: "faulty"; readonly expected: string; readonly found: string };

const MAX_EXPRESSION_CHARS = 2_000;

/** Takes a template apart. */
export function parseTemplate(template: string): TemplateParse {
  const parts: TemplatePart[] = [];
  let text = "";
  let at = 0;
  for (;;) {
    const next = template.indexOf("${", at);
    if (next < 0) break;
    if (next > at && template[next - 1] === "$") {
      text += `${template.slice(at, next - 1)}\${`;
      at = next + 2;
      continue;
    }
    const end = endOf(template, next + 2);
    const expression = end === undefined ? "" : template.slice(next + 2, end).trim();
    if (end === undefined) return { kind: "faulty", expected: "} at the end of an expression", found: "none" };
    if (expression === "") return { kind: "faulty", expected: "an expression between ${ and }", found: "nothing" };
    if (expression.length > MAX_EXPRESSION_CHARS) {
      const expected = `an expression of ${MAX_EXPRESSION_CHARS} characters at most`;
      return { kind: "faulty", expected, found: `${expression.length}` };
    }
    text += template.slice(at, next);
    if (text !== "") parts.push({ kind: "text", text });
    parts.push({ kind: "expression", expression });
    [text, at] = ["", end + 1];
  }
  text += template.slice(at);
  if (text !== "") parts.push({ kind: "text", text });
  return { kind: "parsed", parts };
}

/** Where the expression ends: at the brace that closes it, not at one in a text or in a mapping. */
function endOf(template: string, from: number): number | undefined {
  let depth = 0;
  let quote: string | undefined;
  for (let at = from; at < template.length; at += 1) {
    const char = template[at];
    if (quote !== undefined) {
      if (char === "\\") at += 1;
      else if (char === quote) quote = undefined;
    } else if (char === '"' || char === "'") quote = char;
    else if (char === "{") depth += 1;
    else if (char === "}" && depth === 0) return at;
    else if (char === "}") depth -= 1;
  }
  return undefined;
}

/** The text of a template before its first expression; the whole of it when it has none. */
export function literalPrefix(parts: readonly TemplatePart[]): string {
  const [first] = parts;
  return first?.kind === "text" ? first.text : "";
}

/** Whether a template is known before anything has run. */
export function isLiteral(parts: readonly TemplatePart[]): boolean {
  return parts.every(({ kind }) => kind === "text");
}

/** A text that is a template for just this text. */
export function escapeTemplate(text: string): string {
  return text.split("${").join("$${");
}
