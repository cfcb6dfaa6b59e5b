/** Placeholders of commands and of output names. */
import { InvalidInputError, type Fault } from "./errors.ts";
import { suggest } from "./suggest.ts";

/** The placeholders that stand for something of one file. */
export const filePlaceholders = [
  "input",
  "input_file",
  "output",
  "output_file",
  "dir",
  "name",
  "stem",
  "ext",
  "index",
  "run",
] as const;
export type FilePlaceholder = (typeof filePlaceholders)[number];

/** An argument that is exactly this becomes one argument for each file of the chunk. */
export const INPUTS = "{inputs}";

export type PlaceholderValues = Readonly<Partial<Record<FilePlaceholder, string>>>;

const known: ReadonlySet<string> = new Set(filePlaceholders);
/** Those that a call over many files has too. */
const ofCall: ReadonlySet<string> = new Set(["output", "output_file", "run"]);

/** The values that a file's path alone gives. `path` is relative to the input root, `/` between parts. */
export function pathPlaceholders(path: string, index: number, runId: string): PlaceholderValues {
  const slash = path.lastIndexOf("/");
  const dir = slash < 0 ? "." : path.slice(0, slash);
  const name = path.slice(slash + 1);
  const dot = name.lastIndexOf(".");
  // A leading dot begins a hidden file's name, not an extension.
  const stem = dot <= 0 ? name : name.slice(0, dot);
  return { dir, name, stem, ext: dot <= 0 ? "" : name.slice(dot + 1), index: String(index), run: runId };
}

/** Puts values in place of `{placeholders}`; names that are none of ours stay as they are, `{{` is a brace. */
export function expand(template: string, values: PlaceholderValues): string {
  return template.replace(/\{\{|\{([a-z_]+)\}/g, (all, name: string | undefined) => {
    if (all === "{{") return "{";
    const value = name === undefined || !known.has(name) ? undefined : values[name as FilePlaceholder];
    return value ?? all;
  });
}

/** The placeholders that a template uses. */
export function placeholdersOf(template: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const match of template.matchAll(/\{\{|\{([a-z_]+)\}/g)) {
    if (match[1] !== undefined) found.add(match[1]);
  }
  return found;
}

/** Where the output of a command comes from: a file that it is told to write, else what it prints. */
export function outputFromOf(command: readonly string[]): "file" | "stdout" {
  const isTold = command.some((argument) => {
    const used = placeholdersOf(argument);
    return used.has("output") || used.has("output_file");
  });
  return isTold ? "file" : "stdout";
}

/** Where the output of a run comes from when nobody said it. */
export function defaultOutputFrom(executor: unknown, command: readonly string[]): "file" | "stdout" | "results" {
  return executor === "infer" ? "results" : outputFromOf(command);
}

/** Whether a command has one placeholder at least. */
export function usesPlaceholders(command: readonly string[]): boolean {
  return command.some((argument) => [...placeholdersOf(argument)].some((name) => known.has(name) || name === "inputs"));
}

/** Words in braces that are no placeholders and look like a slip for one. */
export function slipsOf(command: readonly string[]): readonly { readonly written: string; readonly meant: string }[] {
  const names = [...filePlaceholders, "inputs"];
  const words = new Set(command.flatMap((argument) => [...placeholdersOf(argument)]));
  return [...words].flatMap((written) => {
    const meant = names.includes(written) ? undefined : suggest(written, names);
    return meant === undefined ? [] : [{ written, meant }];
  });
}

/** A slip in the one placeholder of a command: every file would be run with the same words. */
function missedInput(command: readonly string[]): Fault[] {
  if (usesPlaceholders(command)) return [];
  return slipsOf(command).map(({ written, meant }) => ({
    where: "command",
    expected: `{${meant}}, or {{${written}} for these words as they stand`,
    found: `{${written}}, and no placeholder`,
  }));
}

/** Checks the placeholders of a command and an output name. @throws {InvalidInputError} with all faults. */
export function checkTemplates(command: readonly string[], outputName: string): void {
  const faults: Fault[] = [];
  for (const name of placeholdersOf(outputName)) {
    if (!known.has(name) || name.startsWith("output") || name.startsWith("input")) {
      faults.push({ where: "output name", expected: "{dir} {name} {stem} {ext} {index} {run}", found: `{${name}}` });
    }
  }
  if (outputName.startsWith("/") || outputName.split("/").includes("..")) {
    const found = JSON.stringify(outputName);
    faults.push({ where: "output name", expected: "a path below the output folder, without ..", found });
  }
  const joined = command.filter((argument) => argument !== INPUTS && placeholdersOf(argument).has("inputs"));
  for (const argument of joined) {
    faults.push({ where: "command", expected: `${INPUTS} as an argument of its own`, found: JSON.stringify(argument) });
  }
  if (
    command.includes(INPUTS) &&
    command.some((argument) => [...placeholdersOf(argument)].some((name) => known.has(name) && !ofCall.has(name)))
  ) {
    const expected = `${INPUTS} or the placeholders of one file (beside it: ${[...ofCall].map((name) => `{${name}}`).join(" ")})`;
    faults.push({ where: "command", expected, found: "both" });
  }
  faults.push(...missedInput(command));
  if (faults.length > 0) throw new InvalidInputError("command", faults);
}
