/** HTML in which every value is escaped, unless it is HTML made here already. */

/** Text that is HTML and safe to put into a page. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type HtmlValue = Html | string | number | null | undefined | false | readonly HtmlValue[];

/** Puts values into a page: text escaped, HTML as it is, lists one after the other, nothing for null and false. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(strings.reduce((out, part, at) => out + toText(values[at - 1]) + part));
}

function toText(value: HtmlValue): string {
  if (value instanceof Html) return value.text;
  if (value === null || value === undefined || value === false) return "";
  if (typeof value === "object") return value.map(toText).join("");
  return escapeText(String(value));
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Makes text harmless in HTML and honest on the screen: characters that turn the direction of text, or that are not
 * seen, would let one name pass for another, so they are shown by number; so are lone surrogates and control characters.
 */
export function escapeText(text: string): string {
  return text
    .replace(/[&<>"']/g, (char) => entities[char] ?? "")
    .replace(HIDDEN, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

const HIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\p{Surrogate}/gu;
