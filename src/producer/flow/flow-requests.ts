/** Reads flows as callers of the HTTP intake send them. Every fault is reported, each with where it is in the body. */
import { z } from "zod";
import { checkFlow, type CheckedFlow, type FlowFault } from "../../contract/flow-check.ts";
import { resolveInputs, type InputValue } from "../../contract/flow-inputs.ts";
import { isLiteral, parseTemplate } from "../../contract/flow-templates.ts";
import { isPlainAbsolute } from "../../contract/inside.ts";
import { schemaFaults, type PathFault } from "../../contract/schema-faults.ts";
import { jsonPointer, RequestError, type ProblemFault } from "../../platform/http/problem.ts";
import { readYaml, valueOf } from "../../platform/yaml-text.ts";

/** Together; reading YAML takes its time, and nobody else is answered meanwhile. */
const MAX_TEXT_BYTES = 1_048_576;
const MAX_FILES = 100;

const document = z.union([z.record(z.string(), z.unknown()), z.string().min(1)], {
  error: "a flow file, as an object or as a text of YAML or JSON",
});
const absolute = z.string().refine(isPlainAbsolute, { error: "an absolute path without .. parts" });
const inputs = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

const flowShape = {
  flow: document.describe("a flow file: an object, or the text of a file in YAML or JSON"),
  files: z
    .record(z.string().min(1).max(1_000), document)
    .refine((files) => Object.keys(files).length <= MAX_FILES, { error: `${MAX_FILES} files at most` })
    .default({})
    .describe("the flow files that it names, by where they lie below its folder"),
  inputs: inputs.default({}).describe("values of its inputs, by name"),
};

/** What `POST /v1/flows` takes: a flow, or the hash of a plan that is kept. */
export const flowRequest = z.strictObject({
  ...flowShape,
  flow: document.optional().describe("a flow file: an object, or the text of a file in YAML or JSON"),
  plan: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits in lower case")
    .optional()
    .describe("in place of flow: the hash of a plan that is kept, which is approved by that"),
  approvedBy: z.string().trim().min(1).max(200).optional().describe("who approves; needed for what a planner made"),
  output: absolute.describe("the folder in which the folder of the run is made, absolute, as the workers see it"),
  base: absolute
    .optional()
    .describe("what relative paths of its nodes are relative to; the folder of the run without it"),
  dryRun: z.boolean().default(false).describe("answers with what would run, and runs nothing"),
});
/** What `POST /v1/runs/{id}/resume` takes. */
export const resumeRequest = z.strictObject({
  from: z.array(z.string()).max(1_000).default([]).describe("nodes that are run anew, and all that hang on them"),
  inputs: inputs.default({}).describe("values that are other than before"),
});
/** What `POST /v1/goals` takes. */
export const goalRequest = z.strictObject({
  goal: z.string().trim().min(1).max(20_000).describe("what is to be reached, in plain words"),
  planner: z.string().optional().describe("of the configuration; without it the only one, or the one called default"),
  budget: z
    .strictObject({
      calls: z.int().min(1).max(1_000).optional(),
      tokens: z.int().min(1).optional(),
      usd: z.number().positive().optional(),
    })
    .default({})
    .describe("less than that of the configuration"),
});
/** What `POST /v1/flows/validate` takes. */
export const flowCheckRequest = z.strictObject(flowShape);

/** A body that holds a flow that may be run. */
export interface FlowBody {
  readonly flow: CheckedFlow;
  readonly inputs: Readonly<Record<string, InputValue>>;
}

/** What a body says, without what the flow in it is. @throws {RequestError} 400 with all faults */
export function parseBody<T extends z.ZodObject>(schema: T, body: unknown, what: string): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw refused(
    schemaFaults(parsed.error.issues, body, (path) => (path.length === 0 ? Object.keys(schema.shape) : [])).map(
      asProblem,
    ),
    what,
  );
}

/** @throws {RequestError} 400 with all faults of the flow, of the files that it names, and of the inputs */
export function parseFlow(body: z.output<typeof flowCheckRequest>): FlowBody {
  const found = checkWritten(body);
  if (found.kind === "faulty") throw refused(found.errors, "flow");
  return found;
}

/** The flow of a body, or what is wrong with it. Inputs that are not given have no value yet: `inputs` are those that have. */
export function checkWritten({
  flow: written,
  files,
  inputs: given,
}: z.output<typeof flowCheckRequest>):
  ({ readonly kind: "valid" } & FlowBody) | { readonly kind: "faulty"; readonly errors: readonly ProblemFault[] } {
  const bytes = [written, ...Object.values(files)].reduce<number>((sum, one) => sum + textBytes(one), 0);
  if (bytes > MAX_TEXT_BYTES) {
    const detail = `expected ${MAX_TEXT_BYTES} bytes of text in all at most, found ${bytes}: send objects instead`;
    return { kind: "faulty", errors: [{ pointer: "/flow", detail }] };
  }
  const main = readDocument(written, ["flow"]);
  const others = Object.entries(files).map(([name, one]) => [name, readDocument(one, ["files", name])] as const);
  const unread = [main, ...others.map(([, one]) => one)].flatMap(({ errors }) => errors);
  if (unread.length > 0) return { kind: "faulty", errors: unread };
  const read = new Map([["", main], ...others]);
  const check = checkFlow(main.value, Object.fromEntries(others.map(([name, { value }]) => [name, value])));
  if (check.kind === "faulty") return { kind: "faulty", errors: check.faults.map((fault) => flowProblem(fault, read)) };
  const errors = [check.flow, ...new Set(nestedOf(check.flow))].flatMap((flow) =>
    bareBinaries(flow).map((fault) => flowProblem(fault, read)),
  );
  const resolved = resolveInputs(check.flow.document, given);
  if (resolved.kind === "faulty") errors.push(...resolved.faults.map((fault) => asProblem(placed(fault, "inputs"))));
  if (errors.length > 0 || resolved.kind === "faulty") return { kind: "faulty", errors };
  return { kind: "valid", flow: check.flow, inputs: resolved.values };
}

/** Where a fault of a flow stands in the body. */
export function flowPlace({ file, path }: Pick<FlowFault, "file" | "path">): readonly PropertyKey[] {
  return [...(file === "" ? ["flow"] : ["files", file]), ...path];
}

interface ReadDocument {
  readonly value: unknown;
  readonly errors: readonly ProblemFault[];
  readonly lineOf: (path: readonly PropertyKey[]) => number | undefined;
}

function readDocument(written: unknown, at: readonly string[]): ReadDocument {
  if (typeof written !== "string") return { value: written, errors: [], lineOf: () => undefined };
  const read = readYaml(written, "text");
  const yaml = read.kind === "read" ? valueOf(read, "text") : read.value;
  const errors = yaml.faults.map(({ where, expected, found }) => ({
    pointer: jsonPointer(at),
    detail: `${where}: expected ${expected}, found ${found}`,
  }));
  return { value: yaml.value, errors, lineOf: (path) => yaml.lineOf(path) };
}

function textBytes(written: unknown): number {
  return typeof written === "string" ? Buffer.byteLength(written) : 0;
}

function flowProblem(fault: FlowFault, read: ReadonlyMap<string, ReadDocument>): ProblemFault {
  const line = read.get(fault.file)?.lineOf(fault.path);
  const { pointer, detail } = asProblem({ ...fault, path: flowPlace(fault) });
  return { pointer, detail: line === undefined ? detail : `line ${line}: ${detail}` };
}

function asProblem({ path, expected, found }: PathFault): ProblemFault {
  return { pointer: jsonPointer(path), detail: `expected ${expected}, found ${found}` };
}

function placed(fault: PathFault, section: string): PathFault {
  return { ...fault, path: [section, ...fault.path] };
}

function refused(errors: readonly ProblemFault[], what: string): RequestError {
  const detail = `the ${what} has ${errors.length} ${errors.length === 1 ? "fault" : "faults"}`;
  return new RequestError(400, detail, { code: "ERR_INVALID_INPUT", errors });
}

function nestedOf(flow: CheckedFlow): CheckedFlow[] {
  return [...flow.nested.values()].flatMap((below) => [below, ...nestedOf(below)]);
}

/** Neither the intake nor a worker looks a binary up: the folders that they would look in may differ. */
function bareBinaries({ document: { nodes }, file }: CheckedFlow): FlowFault[] {
  return nodes.flatMap((node, at) => {
    const binary = node.kind === "exec" || node.kind === "files" ? (node.command[0] ?? "/") : "/";
    const parsed = parseTemplate(binary);
    if (binary.startsWith("/") || parsed.kind === "faulty" || !isLiteral(parsed.parts)) return [];
    const path = ["nodes", at, "command", 0];
    const expected = `the absolute path of a binary, as the workers have it, such as "/usr/bin/${binary.split("/").at(-1) ?? ""}"`;
    return [{ file, path, where: "command[0]", expected, found: JSON.stringify(binary) }];
  });
}
