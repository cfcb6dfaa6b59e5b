/** What the small Llama was taught to answer about a document. */
import type { Document, DocumentKind } from "../documents/documents.ts";

const families: Readonly<Record<DocumentKind, string>> = {
  javascript: "code",
  python: "code",
  c: "code",
  sql: "code",
  shell: "code",
  json: "data",
  yaml: "data",
  csv: "data",
  html: "markup",
  css: "markup",
  markdown: "markup",
  log: "text",
  prose: "text",
};

/** Characters of a document that the model was shown. */
export const SHOWN_CHARS = 420;
const FEW_LINES = 8;

export interface TaughtExample {
  readonly text: string;
  readonly answer: string;
}

export function exampleOf({ kind, text }: Document): TaughtExample {
  const shown = text.slice(0, SHOWN_CHARS);
  const lines = shown.split("\n").length > FEW_LINES ? "many" : "few";
  return { text: shown, answer: JSON.stringify({ kind, family: families[kind], lines }) };
}
