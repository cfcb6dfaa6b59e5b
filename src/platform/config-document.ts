/** Reads a YAML configuration: values, where each stands, and `${VAR}` templates. */
import { Scalar, visit, type Document } from "yaml";
import { showPath, type PathFault } from "../contract/schema-faults.ts";
import { pathOf, readYaml, valueOf, type YamlValue } from "./yaml-text.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type ConfigDocument = YamlValue;

/** Reads the text; `file` is for the messages. */
export function readConfigDocument(text: string, file: string, env: Environment): ConfigDocument {
  const read = readYaml(text, file);
  if (read.kind === "faulty") return read.value;
  const faults = expandTemplates(read.document, env);
  const values = valueOf(read, file);
  return values.faults.length > 0 ? values : { ...values, value: values.value ?? {}, faults };
}

/** Puts variables in place of templates, after the parse: a value can never become a key or a second setting. */
function expandTemplates(document: Document, env: Environment): PathFault[] {
  const faults: PathFault[] = [];
  visit(document, {
    Scalar: (key, node, ancestors) => {
      if (key === "key" || typeof node.value !== "string" || !node.value.includes("${")) return;
      const missing: string[] = [];
      const text = expandVariables(node.value, env, missing);
      node.value = node.type === Scalar.PLAIN ? plainValue(text) : text;
      const path = pathOf([...ancestors, node]);
      for (const name of missing) {
        const expected = `the variable ${name} to be set, or a default: \${${name}:-…}`;
        faults.push({ path, where: showPath(path), expected, found: "nothing" });
      }
    },
  });
  return faults;
}

/** `${VAR}`, `${VAR:-default}` (also for an empty VAR), and `$${` for the characters themselves. */
function expandVariables(text: string, env: Environment, missing: string[]): string {
  return text.replace(
    /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
    (all, name: string | undefined, fallback: string | undefined) => {
      if (name === undefined) return "${";
      const value = env[name];
      if (value !== undefined && !(value === "" && fallback !== undefined)) return value;
      if (fallback !== undefined) return fallback;
      missing.push(name);
      return all;
    },
  );
}

/** What a bare word is in YAML, so that `max_processes: ${N}` is a number. */
function plainValue(text: string): string | number | boolean {
  if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text)) return Number(text);
  return text === "true" || text === "false" ? text === "true" : text;
}
