/** Synthetic documents of thirteen kinds from small random grammars, and the answers that go with them. */
import { seeded } from "../../../tests/support/seeded.ts";
import * as templates from "./templates.ts";
import { Words } from "./words.ts";

const htmlHead = "<!DOCTYPE html>\n<html>\n<head><title>«sentence»</title></head>\n<body>\n";
const shebangs = ["#!/bin/sh\n", "#!/bin/bash\n", "#!/usr/bin/env bash\nset -euo pipefail\n"];

/** Either on one line, or one property a line. */
function json(words: Words): string {
  const isCompact = words.chance(0.3);
  const text = jsonObject(words, 1);
  return isCompact ? text.replace(/\n\s*/g, "") : text;
}

function jsonValue(words: Words, depth: number): string {
  const isDeep = depth > 2;
  const values = [
    () => `"${words.sentence().slice(0, -1)}"`,
    () => words.number(),
    () => "true",
    () => "null",
    () => `"${words.date()}"`,
    () => (isDeep ? "[]" : `[${words.repeat(1 + words.int(4), () => jsonValue(words, depth + 1), ", ")}]`),
    () => (isDeep ? "{}" : jsonObject(words, depth + 1)),
  ];
  return words.pick(values)();
}

function jsonObject(words: Words, depth: number): string {
  const property = () => {
    const name = words.chance(0.5) ? words.snake() : words.camel();
    return `${"  ".repeat(depth)}"${name}": ${jsonValue(words, depth)}`;
  };
  return `{\n${words.repeat(1 + words.int(6), property, ",\n")}\n${"  ".repeat(depth - 1)}}`;
}

function csv(words: Words): string {
  const columns = 3 + words.int(7);
  const hasText = words.chance(0.3);
  const separator = words.pick([",", ",", ";"]);
  const cells = [
    () => words.number(),
    () => words.word(),
    () => words.date(),
    () => (hasText ? `"${words.sentence()}"` : words.word()),
    () => "",
  ];
  const head = words.repeat(columns, () => words.snake(), separator);
  const row = () => words.repeat(columns, () => words.pick(cells)(), separator);
  return `${head}\n${words.repeat(5 + words.int(30), row)}`;
}

function sql(words: Words): string {
  return words.repeat(4 + words.int(22), () => {
    const isUpper = words.chance(0.7);
    return words.fill(words.pick(templates.sql), (text) => (isUpper ? text : text.toLowerCase()));
  });
}

function log(words: Words): string {
  const format = words.int(4);
  const service = words.word();
  const line = () => {
    const level = words.pick(["INFO", "INFO", "WARN", "ERROR", "DEBUG"]);
    const message = words.fill(words.pick(templates.logMessages));
    switch (format) {
      case 0:
        return words.fill(`«date»T«time».«int 999»Z ${level} [${service}] `) + message;
      case 1:
        return words.fill(`[«date» «time»] ${service}.${level}: `) + message;
      case 2:
        return words.fill(`«Jan|Feb|Mar|Nov|Dec» «day» «time» host«int 99» ${service}[«int 9999»]: `) + message;
      default:
        return words.fill(templates.accessLogLine);
    }
  };
  return words.repeat(6 + words.int(30), line);
}

const makers = {
  javascript: (words) => words.lines(templates.javascript),
  python: (words) => words.lines(templates.python),
  c: (words) => words.lines(templates.c),
  json,
  yaml: (words) => (words.chance(0.4) ? "---\n" : "") + words.lines(templates.yaml),
  csv,
  html: (words) => `${words.chance(0.6) ? words.fill(htmlHead) : ""}${words.lines(templates.html)}\n</body></html>`,
  css: (words) => words.lines(templates.css),
  markdown: (words) => `# ${words.sentence()}\n\n${words.lines(templates.markdown)}`,
  sql,
  shell: (words) => (words.chance(0.7) ? words.pick(shebangs) : "") + words.lines(templates.shell),
  log,
  prose: (words) => {
    const paragraph = () => words.repeat(2 + words.int(6), () => words.sentence(), " ");
    return words.repeat(3 + words.int(8), paragraph, "\n\n");
  },
} satisfies Record<string, (words: Words) => string>;

export type DocumentKind = keyof typeof makers;
export const documentKinds = Object.keys(makers) as readonly DocumentKind[];

export interface Document {
  readonly kind: DocumentKind;
  readonly text: string;
}

/** Documents of all kinds in turn; the same ones for the same seed. */
export function makeDocuments(count: number, seed: number): Document[] {
  const words = new Words(seeded(seed));
  return Array.from({ length: count }, (_, index) => {
    const kind = documentKinds[index % documentKinds.length] ?? "prose";
    return { kind, text: makers[kind](words) };
  });
}
