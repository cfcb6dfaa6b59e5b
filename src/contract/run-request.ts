/**
 * What callers write for a run: a run specification with short forms. `input` may be the path of a folder or a list of
 * files, `output` the path of a folder, and how the output comes about follows from the command. One place completes them,
 * for the client, the HTTP intake and the command line.
 */
import { z } from "zod";
import { SANDBOX_LABEL } from "./allow.ts";
import { parseAnswerSchema } from "./answer-schema.ts";
import { FaultsError, InvalidInputError } from "./errors.ts";
import { isPlainAbsolute, isSameFolder } from "./inside.ts";
import { keysAt, type JsonSchema } from "./json-schema.ts";
import { inputSpec, outputSpec, runSpec, type RunSpec } from "./run-spec.ts";
import { field, schemaFaults, showFound, showPath, type PathFault } from "./schema-faults.ts";
import { defaultOutputFrom, INPUTS } from "./template.ts";

const MAX_FILES = 1_000;

const outputRequest = outputSpec.extend({
  from: outputSpec.shape.from
    .optional()
    .describe("without it: results for a model; file when the command holds {output} or {output_file}, else stdout"),
});

/** For descriptions of the API; `checkRunSpec` checks. */
export const runRequest = runSpec.extend({
  perChunk: z.boolean().optional().describe("without it: whether the command holds {inputs}"),
  input: z.union([
    z.string().describe("a folder: every file below it, as an absolute path"),
    z.array(z.string()).min(1).max(MAX_FILES).describe("files, as absolute paths"),
    inputSpec,
  ]),
  output: z.union([z.string().describe("a folder, as an absolute path"), outputRequest]),
});
export type RunRequest = z.input<typeof runRequest>;
/** Without the short forms of input and output. */
export type RunSpecInput = Omit<RunRequest, "input" | "output"> & {
  input: z.input<typeof inputSpec>;
  output: z.input<typeof outputRequest>;
};

export type CheckedRunSpec =
  | { readonly kind: "valid"; readonly spec: RunSpec }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

type Path = readonly PropertyKey[];

/** Completes and checks what was written for a run, the rules that a schema cannot say included. */
export function checkRunSpec(written: unknown): CheckedRunSpec {
  const short = shortFaults(written);
  const full = complete(written, short.length > 0);
  const parsed = runSpec.safeParse(full);
  const own = parsed.success
    ? []
    : schemaFaults(parsed.error.issues, full, runSpecKeys).map((fault) =>
        fault.path.length === 0 ? { ...fault, where: "run" } : placed(written, fault),
      );
  // A rule over a value that is no value says nothing new.
  const rules = [...pathFaults(full).map((fault) => placed(written, fault)), ...short].filter(
    (rule) => !own.some((fault) => fault.where === rule.where),
  );
  own.push(...answerFaults(full, own));
  const among = parsed.success && isAmongInputs(parsed.data) ? [placed(written, amongInputs(parsed.data))] : [];
  const left = parsed.success && !maySayLeft(parsed.data) ? [placed(written, unfitLeft(parsed.data))] : [];
  const faults = [...own, ...rules, ...among, ...left];
  return parsed.success && faults.length === 0 ? { kind: "valid", spec: parsed.data } : { kind: "faulty", faults };
}

/** A schema is read by every worker of a run, and kept with it. */
const MAX_SCHEMA_BYTES = 262_144;

/** What is wrong with the schema of answers, where it is a schema at all. */
function answerFaults(full: unknown, known: readonly PathFault[]): PathFault[] {
  const answer = field(full, "answer");
  if (answer === undefined || known.some(({ path }) => path[0] === "answer")) return [];
  const executor = field(full, "executor");
  if (executor !== "infer")
    return [faultAt(["answer"], "none: only runs of a model (executor infer) have one", answer)];
  const schema = field(answer, "schema") as JsonSchema;
  const bytes = Buffer.byteLength(JSON.stringify(schema));
  const path = ["answer", "schema"];
  if (bytes > MAX_SCHEMA_BYTES) {
    const expected = `a schema of ${MAX_SCHEMA_BYTES} bytes at most`;
    return [{ path, where: showPath(path), expected, found: `${bytes} bytes` }];
  }
  try {
    parseAnswerSchema(schema);
    return [];
  } catch (error) {
    if (!(error instanceof FaultsError)) throw error;
    return error.faults.map((fault) => ({ ...fault, path, where: `answer.${fault.where}` }));
  }
}

function isAmongInputs({ input, output }: RunSpec): boolean {
  return input.kind === "tree" && output.from !== "none" && isSameFolder(input.root, output.root);
}

function amongInputs({ output }: RunSpec): PathFault {
  return faultAt(["output", "root"], "a folder other than the input folder", output.root);
}

/** An output that is left where the process works is that of one process: others would leave theirs in the same place. */
function maySayLeft({ executor, input, output, perChunk }: RunSpec): boolean {
  if (output.left === undefined) return true;
  return executor === "process" && input.kind === "none" && output.from === "file" && !perChunk;
}

function unfitLeft({ output }: RunSpec): PathFault {
  const expected =
    "none: only a process without inputs (input none, output from file) leaves its output where it works";
  return faultAt(["output", "left"], expected, output.left);
}

/** Completes and checks what was written for a run. @throws {InvalidInputError} with every fault and its place */
export function parseRunSpec(written: unknown): RunSpec {
  const checked = checkRunSpec(written);
  if (checked.kind === "valid") return checked.spec;
  throw new InvalidInputError(
    "run specification",
    checked.faults.map(({ where, expected, found }) => ({ where, expected, found })),
  );
}

/** A run's specification with parts of it replaced, to be completed: what followed from its command follows from the new one. */
export function changedRequest(spec: RunSpec, change: Partial<RunSpecInput>): unknown {
  const { perChunk, output, ...rest } = spec;
  const { from, ...others } = output;
  return {
    ...rest,
    output: from === defaultOutputFrom(spec.executor, spec.command) ? others : output,
    ...(perChunk !== spec.command.includes(INPUTS) && { perChunk }),
    ...change,
  };
}

/** Where in what was written a place of the complete specification stands. */
export function placeIn(written: unknown, path: Path): Path {
  const [section, ...below] = path;
  const value = section === "input" || section === "output" ? field(written, section) : undefined;
  if (typeof value === "string") return [section ?? ""];
  if (section === "input" && Array.isArray(value))
    return below[0] === "paths" ? [section, ...below.slice(1)] : [section];
  return path;
}

function placed(written: unknown, fault: PathFault): PathFault {
  const path = placeIn(written, fault.path);
  return { ...fault, path, where: showPath(path) };
}

function runSpecKeys(path: Path): readonly string[] {
  return keysAt(z.toJSONSchema(runSpec, { io: "input" }) as JsonSchema, path);
}

/** Puts the long forms in the place of the short ones. What cannot be completed is left for the schema to refuse. */
function complete(written: unknown, hasShortFaults: boolean): unknown {
  if (typeof written !== "object" || written === null || Array.isArray(written)) return written;
  const { command, input, output, perChunk, executor } = written as Record<string, unknown>;
  const words = isTexts(command) ? command : [];
  return {
    ...written,
    ...(executor === "infer" && completeModel(written)),
    ...completeSandbox(written),
    ...(perChunk === undefined && words.includes(INPUTS) && { perChunk: true }),
    ...(input !== undefined && { input: completeInput(input, hasShortFaults) }),
    ...(output !== undefined && { output: completeOutput(output, defaultOutputFrom(executor, words)) }),
  };
}

/** Only a worker that can shut processes in is to have such jobs. A model is no process whose network could be taken. */
function completeSandbox(written: object): object {
  const [sandbox, resources] = [field(written, "sandbox") ?? "none", field(written, "resources") ?? {}];
  const isCut = field(written, "network") === false && field(written, "executor") !== "infer";
  if ((sandbox === "none" && !isCut) || typeof resources !== "object") return {};
  const labels = field(resources, "labels") ?? [];
  if (!Array.isArray(labels) || labels.includes(SANDBOX_LABEL)) return {};
  return { resources: { ...resources, labels: [...(labels as unknown[]), SANDBOX_LABEL] } };
}

/** Files of one chunk of a model: they go through it in batches, and a chunk has its price. */
export const MODEL_CHUNK_FILES = 2_048;
/** Two chunks keep an engine busy, and share its core. */
export const MODEL_CHUNK_CORES = 0.5;

function completeModel(written: object): object {
  const [chunk, resources] = [field(written, "chunk") ?? {}, field(written, "resources") ?? {}];
  if (typeof chunk !== "object" || typeof resources !== "object") return {};
  return {
    chunk: { maxFiles: MODEL_CHUNK_FILES, ...chunk },
    resources: { cpuCores: MODEL_CHUNK_CORES, ...resources },
  };
}

function completeInput(input: unknown, hasShortFaults: boolean): unknown {
  if (typeof input === "string") return { kind: "tree", root: hasShortFaults ? "/" : input };
  if (!Array.isArray(input)) return input;
  return { kind: "list", ...(hasShortFaults || !isTexts(input) ? { root: "/", paths: [] } : listOf(input)) };
}

/** Files as paths below the folder that they have in common. */
function listOf(files: readonly string[]): { root: string; paths: string[] } {
  const parts = files.map((file) => file.split("/").filter((part) => part !== "" && part !== "."));
  const [first = []] = parts;
  const shortest = Math.min(...parts.map((of) => of.length - 1));
  let depth = 0;
  while (depth < shortest && parts.every((of) => of[depth] === first[depth])) depth += 1;
  return { root: `/${first.slice(0, depth).join("/")}`, paths: parts.map((of) => of.slice(depth).join("/")) };
}

function completeOutput(output: unknown, from: string): unknown {
  if (typeof output === "string") return { root: output, from };
  if (typeof output !== "object" || output === null || Array.isArray(output)) return output;
  return field(output, "from") === undefined ? { ...output, from } : output;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((word) => typeof word === "string");
}

const folderExpected = "the absolute path of a folder";
const fileExpected = "the absolute path of a file, without .. parts";

/** Faults of `input` in its short forms. */
function shortFaults(written: unknown): PathFault[] {
  const input = field(written, "input");
  if (typeof input === "string") return isAbsolute(input) ? [] : [faultAt(["input"], folderExpected, input)];
  if (!Array.isArray(input)) return [];
  if (input.length === 0 || input.length > MAX_FILES) {
    const found = `${input.length} of them`;
    return [{ path: ["input"], where: "input", expected: `1 to ${MAX_FILES} files, or a folder`, found }];
  }
  return input.flatMap((file: unknown, at) => {
    const isFile = typeof file === "string" && isPlainAbsolute(file) && /[^/]$/.test(file);
    return isFile ? [] : [faultAt(["input", at], fileExpected, file)];
  });
}

/** A worker has neither the folder nor the PATH of whoever asks: these must mean the same everywhere. */
const absolutePaths: readonly (readonly [path: readonly (string | number)[], what: "binary" | "folder"])[] = [
  [["command", 0], "binary"],
  [["input", "root"], "folder"],
  [["inputRules", "check", 0], "binary"],
  [["output", "root"], "folder"],
  [["output", "check", 0], "binary"],
];

function pathFaults(full: unknown): PathFault[] {
  return absolutePaths.flatMap(([path, what]) => {
    const value = path.reduce<unknown>((at, part) => field(at, String(part)), full);
    if (typeof value !== "string" || isAbsolute(value)) return [];
    const isModel = path[0] === "command" && field(full, "executor") === "infer";
    const expected = what === "folder" || isModel ? folderExpected : binaryExpected(value);
    return [faultAt(path, expected, value)];
  });
}

function binaryExpected(name: string): string {
  const isName = /^[\w.+-]+$/.test(name) && !name.startsWith(".");
  return `the absolute path of a binary${isName ? `, as the workers have it, such as "/usr/bin/${name}"` : ""}`;
}

function isAbsolute(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0");
}

function faultAt(path: Path, expected: string, value: unknown): PathFault {
  return { path, where: showPath(path), expected, found: showFound(value, path) };
}
