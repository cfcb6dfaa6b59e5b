/**
 * The flow file: a graph of nodes, and the rules of its edges. Keys are in snake_case, as in the configuration file; units
 * stand in their names. What a schema cannot say of a graph (needs that exist, cycles, depth) says `flow-check.ts`.
 */
import { z } from "zod";
import { sandboxLevels } from "./allow.ts";
import { milliseconds, seconds } from "./config-units.ts";
import { failureClasses, type FailureClass } from "./outcomes.ts";
import { profileFields } from "./config.ts";
import { profileName } from "./profiles.ts";

/** When a node may start, seen from one node that it needs. */
export const edgeRules = ["success", "failure", "always"] as const;
export type EdgeRule = (typeof edgeRules)[number];

export const nodeKinds = ["exec", "files", "infer", "agent", "gate", "flow"] as const;
export type NodeKind = (typeof nodeKinds)[number];
/** Kinds of nodes whose work is processes of their own, which can be shut in. */
export const enclosableKinds: ReadonlySet<NodeKind> = new Set<NodeKind>(["exec", "files", "agent"]);

const text = z.string().min(1);
/** Part of job ids and of paths, so it holds no dots, colons or slashes. */
const nodeId = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/, "lower-case letters, digits, - and _, 63 at most");
const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "a name of a variable");
/** An expression over what came before (see flow-expressions.ts). */
const expression = z.string().min(1).max(2_000);
/** Text with `${expression}` parts. */
const template = z.string().max(65_536);
/** Of an output; a slash or dots alone would lead out of the folder of the node. */
const fileName = z.string().regex(/^(?!\.{1,2}$)[^/\0]{1,200}$/, "a file name");
const command = z.array(template).min(1).max(4_096);

const edge = z.union(
  [
    nodeId.transform((node) => ({ node, on: "success" as const })),
    z.strictObject({ node: nodeId, on: z.enum(edgeRules).default("success") }),
  ],
  { error: `the id of a node, or { node, on } with ${edgeRules.join(", ")}` },
);

const retryRule = z.strictObject({
  attempts: z.int().min(1).max(1_000).optional(),
  backoff_ms: milliseconds({ min: 0 }).optional(),
  backoff_factor: z.number().min(1).optional(),
  max_backoff_ms: milliseconds({ min: 0 }).optional(),
});

/** What every node may say. */
const common = {
  id: nodeId,
  description: z.string().max(2_000).optional(),
  needs: z.array(edge).max(10_000).default([]),
  /** The node is skipped when this is false. */
  when: expression.optional(),
  /** Once for each: a list, or an expression that yields one when the nodes that it needs have ended. */
  foreach: z
    .union([z.array(z.json()).max(100_000), expression], { error: "a list, or an expression that yields one" })
    .optional(),
  profile: profileName.optional(),
  resources: z
    .strictObject({
      memory: profileFields.memory.optional(),
      cpu: profileFields.cpu.optional(),
      labels: profileFields.labels.optional(),
    })
    .optional(),
  retry: z
    .strictObject(
      Object.fromEntries(failureClasses.map((name) => [name, retryRule.optional()])) as Record<
        FailureClass,
        z.ZodOptional<typeof retryRule>
      >,
    )
    .optional(),
  timeout_seconds: seconds({ min: 0.001, max: 2_147_483 }).optional(),
  priority: z.int().min(0).max(2_000_000).optional(),
  env: z.record(variableName, template).default({}),
  /** Of a `foreach` whose list is not known before it runs: more entries than these are a failure of the node. */
  max_items: z.int().min(1).max(100_000).optional(),
  /** Whether its process asks for the network; without it the operator's rule holds. */
  network: z.boolean().optional(),
  /** How far its process is shut in at least; without it the operator's rule holds. */
  sandbox: z.enum(sandboxLevels).optional(),
  /** For people; told in the report and by the API. */
  labels: z.record(z.string().max(63), z.string().max(200)).default({}),
};

const exec = z.strictObject({
  ...common,
  kind: z.literal("exec"),
  /** The binary and its arguments; `{output}` is where it writes its output, without it that is what it prints. */
  command,
  output: z
    .strictObject({
      /** A file name; the artifact is kept under it. Without one nothing is kept. */
      name: fileName.optional(),
      /** The output is JSON: later nodes see it as `nodes.ID.result`. */
      json: z.boolean().default(false),
    })
    .prefault({}),
});

const files = z.strictObject({
  ...common,
  kind: z.literal("files"),
  /** As of `headroom run`: `{input}`, `{output}` and the other placeholders of one file. */
  command,
  /** A folder or a file. */
  input: template,
  include: z.array(text).default([]),
  exclude: z.array(text).default([]),
  /** The name of an output below the folder of the node. */
  name: text.optional(),
});

const infer = z.strictObject({
  ...common,
  kind: z.literal("infer"),
  /** The folder of the model. */
  model: template,
  input: template,
  include: z.array(text).default([]),
  exclude: z.array(text).default([]),
});

/** The transcript of an agent, unless its output is that and has another name. */
export const TRANSCRIPT = "transcript.txt";

/** What stands before the first expression must say where it leads. */
const folderPath = template.regex(/^(?:\/|\$\{)/, "an absolute path, or an expression that yields one");

const agent = z.strictObject({
  ...common,
  kind: z.literal("agent"),
  /** The name of an agent program in the configuration. */
  program: text.default("default"),
  prompt: template.min(1),
  /** The folder that it works in, which is there already; without it an empty one, for each attempt anew. */
  folder: z
    .union(
      [
        folderPath.transform((path) => ({ path, writable: false })),
        z.strictObject({
          path: folderPath,
          /** Whether it may write there: then the folder is also one that the policy lets it write to. */
          writable: z.boolean().default(false),
        }),
      ],
      { error: "an absolute path (or an expression that yields one), or { path, writable }" },
    )
    .optional(),
  /** Tools that the agent may use, of those that the policy allows. */
  tools: z.array(text).default([]),
  max_turns: z.int().min(1).max(1_000).default(20),
  max_tokens: z.int().min(1).optional(),
  /** Money that one run of it may use. */
  max_cost_usd: z.number().min(0).optional(),
  /** The same call of a tool, with the same input, so many times in a row ends it. */
  max_repeats: z.int().min(2).max(1_000).optional(),
  /** It is ended when it has printed nothing for so long. */
  stuck_seconds: seconds({ min: 0.001, max: 2_147_483 }).optional(),
  /** Its artifact: what it prints, or with `file` a file that it leaves. */
  output: z
    .strictObject({
      name: fileName.optional(),
      /** Below the folder that it works in. What it prints is kept beside it as `transcript.txt`. */
      file: template
        .regex(/^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$)).+$/, "a path below the folder that it works in, without .. parts")
        .optional(),
      json: z.boolean().default(false),
    })
    .prefault({}),
});

const gate = z.strictObject({
  ...common,
  kind: z.literal("gate"),
  /** What a person is asked. */
  message: template.min(1),
});

const flow = z.strictObject({
  ...common,
  kind: z.literal("flow"),
  /** Another flow file, relative to this one. */
  file: text,
  inputs: z.record(variableName, z.union([template, z.number(), z.boolean()])).default({}),
});

export const flowNode = z.discriminatedUnion("kind", [exec, files, infer, agent, gate, flow]);
export type FlowNode = Readonly<z.output<typeof flowNode>>;

const flowInput = z.strictObject({
  type: z.enum(["string", "number", "boolean"]).default("string"),
  description: z.string().max(2_000).optional(),
  /** Without one a value must be given. */
  default: z.union([z.string(), z.number(), z.boolean()]).optional(),
});

export const flowDocument = z.strictObject({
  version: z.literal(1),
  name: z.string().min(1).max(200),
  description: z.string().max(2_000).optional(),
  /** Values that are given when the flow is started: `inputs.NAME`. */
  inputs: z.record(variableName, flowInput).default({}),
  env: z.record(variableName, template).default({}),
  /** The first node that fails cancels all that have not ended. */
  fail_fast: z.boolean().default(false),
  timeout_seconds: seconds({ min: 0.001, max: 2_147_483 }).optional(),
  /**
   * What a flow that has ended came to, by name: templates over all of its nodes. One that is a single expression keeps its
   * type. A flow around it sees them as `nodes.ID.result`.
   */
  outputs: z.record(variableName, template.min(1)).optional(),
  nodes: z.array(flowNode).min(1).max(20_000),
});
/** A checked flow file: every default filled in, amounts in the unit of their name. */
export type FlowDocument = Readonly<z.output<typeof flowDocument>>;
/** What people and planners write. */
export type FlowDocumentInput = z.input<typeof flowDocument>;

/** What expressions may ask of a node that has ended; what a node of its kind does not have is no field of it. */
export const nodeFields = ["outcome", "exit_code", "output", "sha256", "result", "files", "items"] as const;
export type NodeField = (typeof nodeFields)[number];

const fieldsOfKind: Readonly<Record<NodeKind, readonly NodeField[]>> = {
  exec: ["outcome", "exit_code", "output", "sha256", "result"],
  agent: ["outcome", "exit_code", "output", "sha256", "result"],
  files: ["outcome", "output", "files"],
  infer: ["outcome", "output", "files"],
  flow: ["outcome", "output", "sha256", "result", "files"],
  gate: ["outcome"],
};

/** The fields of one node. Of a node with a `foreach`, what its instances left is in `items`. */
export function nodeFieldsOf(node: FlowNode): readonly NodeField[] {
  if (node.foreach !== undefined) return ["outcome", "items"];
  if (node.kind !== "exec" && node.kind !== "agent") return fieldsOfKind[node.kind];
  const { name, json } = node.output;
  return fieldsOfKind[node.kind].filter(
    // What an agent prints is kept in any case.
    (field) =>
      ((field !== "output" && field !== "sha256") || name !== undefined || node.kind === "agent") &&
      (field !== "result" || json),
  );
}
