/** What a run is: the compiled, checked form that producers write and workers read. Durations in ms, sizes in bytes. */
import { z } from "zod";
import { sandboxLevels } from "./allow.ts";
import { NewerSpecError } from "./errors.ts";
import { failureClasses } from "./outcomes.ts";
import { profileName, profileSchema } from "./profiles.ts";
import { MiB } from "./resources.ts";

/** Variables that every run has handed on from its worker unless it says otherwise. */
export const DEFAULT_ENV_ALLOW: readonly string[] = ["PATH", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/** Outputs of other nodes that one process may read. */
export const MAX_READS = 10_000;

const retryRule = z.strictObject({
  attempts: z.int().min(1).max(1000),
  backoffMs: z.int().nonnegative(),
  backoffFactor: z.number().min(1),
  maxBackoffMs: z.int().nonnegative(),
});

/** Where the input files come from. `root` is absolute; entries are relative to it. */
export const inputSpec = z.discriminatedUnion("kind", [
  /** Every file below `root` that the globs let through. */
  z.strictObject({
    kind: z.literal("tree"),
    root: z.string(),
    include: z.array(z.string()).default([]),
    exclude: z.array(z.string()).default([]),
    /** `skip` leaves symbolic links out, `follow` reads through those that stay inside the root, `refuse` fails them. */
    symlinks: z.enum(["skip", "follow", "refuse"]).default("skip"),
    hidden: z.boolean().default(false),
  }),
  /** A list: short ones in `paths`, long ones (standard input) in pages that the producer stored (`store.inputs`). */
  z.strictObject({
    kind: z.literal("list"),
    root: z.string(),
    paths: z.array(z.string()).max(1_000).optional(),
    include: z.array(z.string()).optional(),
    exclude: z.array(z.string()).optional(),
    /** What becomes of a path that is itself a link; without it as with `follow`, and `skip` says that it was skipped. */
    symlinks: z.enum(["skip", "follow", "refuse"]).optional(),
  }),
  /** A made-up list of `count` names `f0`, `f1`…, for measuring; the files need not exist. */
  z.strictObject({ kind: z.literal("synthetic"), root: z.string(), count: z.int().nonnegative() }),
  /** No file: one call of the command. `sha256` is the digest of what it depends on beside its arguments. */
  z.strictObject({ kind: z.literal("none"), root: z.string().default("/"), sha256: z.string().default("") }),
]);
export type InputSpec = Readonly<z.output<typeof inputSpec>>;

export const outputSpec = z.strictObject({
  root: z.string(),
  /** Output path below the root, with placeholders. */
  name: z.string().min(1).default("{dir}/{name}.output"),
  /**
   * `stdout`: the captured standard output is the output. `file`: the command writes `{output}`. `results`: what a model
   * said of all files is one file. `none`: nothing is kept.
   */
  from: z.enum(["stdout", "file", "results", "none"]),
  /**
   * Of `file`: the command does not write `{output}`, but leaves the output under this path below the folder that it works in.
   * What it prints is kept beside the output, under the name `transcript`.
   */
  left: z
    .strictObject({
      file: z.string().min(1),
      transcript: z.string().regex(/^(?!\.{1,2}$)[^/\0]{1,200}$/, "a file name"),
    })
    .optional(),
  allowEmpty: z.boolean().default(false),
  /** The output must be JSON. */
  json: z.boolean().optional(),
  /** A command that must exit 0 for the output to be published; `{output}` is the temporary file. */
  check: z.array(z.string()).min(1).optional(),
  maxBytes: z
    .int()
    .positive()
    .default(1024 * 1024 * MiB),
});

/** What an agent may use and do, as its lines of stream-json tell; see `agents.ts`. */
const agentLimits = z.strictObject({
  maxTurns: z.int().positive().optional(),
  maxTokens: z.int().positive().optional(),
  maxCostUsd: z.number().nonnegative().optional(),
  /** The same call of a tool so many times in a row is a loop. */
  repeats: z.int().min(2).optional(),
  /** How long it may print nothing. */
  stuckMs: z.int().positive().optional(),
});
export type AgentLimits = Readonly<z.output<typeof agentLimits>>;

/** How a model of the task `generate` answers. */
const askedAnswer = z.strictObject({
  /** A JSON Schema whose fields are all bounded (see `answer-schema.ts`), in the place of the model's own. */
  schema: z.record(z.string(), z.json()),
  /** An answer that is not whole after so many tokens fails; without it the longest answer has to fit the model. */
  maxTokens: z.int().min(1).max(1_000_000).optional(),
});
export type AskedAnswer = Readonly<z.output<typeof askedAnswer>>;

export const runSpec = z.strictObject({
  version: z.literal(1).default(1),
  name: z.string().max(200).optional(),
  /** A `flow` is a graph of nodes; what it has instead of files are these, and each has a specification of its own. */
  executor: z.enum(["process", "infer", "noop", "flow"]).default("process"),
  /** Of a flow: how many nodes, and the digest of the graph. */
  flow: z.strictObject({ nodes: z.int().positive(), planSha256: z.string() }).optional(),
  /** The node of a flow that this run is the work of. */
  parent: z.strictObject({ runId: z.string(), epoch: z.int().nonnegative(), path: z.string() }).optional(),
  /** Argument list with placeholders; the first one is the binary, an absolute path. For `infer`, the folder of the model. */
  command: z.array(z.string()).min(1),
  /** What its processes are alike by, where the command itself differs from call to call: that of a flow's node, as it is written. */
  learnAs: z.array(z.string()).optional(),
  /** Only of `infer`. */
  answer: askedAnswer.optional(),
  /** Of a model, the digest that `headroom model inspect` tells. */
  binarySha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits in lower case")
    .optional(),
  /** Of a node of a flow: the digest of what its command depends on beside its arguments and its files. */
  dependsSha256: z.string().optional(),
  /** Of a node of a flow that is to be run again: nothing that an earlier epoch made is kept. */
  fresh: z.boolean().optional(),
  /** One call per chunk, because the command holds `{inputs}`. */
  perChunk: z.boolean().default(false),
  input: inputSpec,
  inputRules: z
    .strictObject({
      minBytes: z.int().nonnegative().default(0),
      maxBytes: z.int().positive().optional(),
      check: z.array(z.string()).min(1).optional(),
    })
    .prefault({}),
  output: outputSpec,
  env: z.record(z.string(), z.string()).default({}),
  /** Names of variables that the worker hands on from its own environment. */
  envAllow: z.array(z.string()).default([...DEFAULT_ENV_ALLOW]),
  timeoutMs: z.int().positive().default(3_600_000),
  /** Between TERM and KILL. */
  killAfterMs: z.int().nonnegative().default(2_000),
  logBytes: z.int().nonnegative().default(8_192),
  successExitCodes: z.array(z.int().min(0).max(255)).min(1).default([0]),
  retry: z.partialRecord(z.enum(failureClasses), retryRule).default({}),
  /** How far its processes are shut in at least: they see their own files (`files`), and no network either (`strict`). */
  sandbox: z.enum(sandboxLevels).optional(),
  /** `true`: processes that are shut in strictly have the network all the same. `false`: none have it, shut in or not. */
  network: z.boolean().optional(),
  /** What processes that are shut in see beside their inputs: absolute paths. */
  reads: z.array(z.string().startsWith("/", "an absolute path")).max(MAX_READS).optional(),
  /** The folder that its processes work in, absolute; without it each has an empty one. It must be there. */
  folder: z
    .strictObject({
      path: z.string().startsWith("/", "an absolute path"),
      /** Whether processes that are shut in may write there. */
      writable: z.boolean().default(false),
    })
    .optional(),
  /** The command is an agent whose standard output is its transcript: it is counted along, and kept when it fails too. */
  agent: agentLimits.optional(),
  profile: profileName.default("default"),
  resources: profileSchema.prefault({}),
  priority: z.int().min(0).max(2_000_000).default(0),
  chunk: z
    .strictObject({
      maxFiles: z.int().min(1).max(10_000).default(512),
      maxBytes: z
        .int()
        .positive()
        .default(64 * MiB),
      targetMs: z.int().positive().default(400),
    })
    .prefault({}),
  /** The first files, one at a time, before all others: their class is learned from them. */
  calibration: z.strictObject({ files: z.int().min(1).max(1_000) }).optional(),
  /** The run is cancelled once more files than this have failed. */
  maxFailures: z
    .discriminatedUnion("unit", [
      z.strictObject({ unit: z.literal("files"), value: z.int().nonnegative() }),
      z.strictObject({ unit: z.literal("percent"), value: z.number().min(0).max(100) }),
    ])
    .optional(),
  traceId: z.string().optional(),
});
export type RunSpec = Readonly<z.output<typeof runSpec>>;

/** What is wrong with a specification that was checked where it was written: a newer version knows the field, or the value. */
const newerIssues: ReadonlySet<string> = new Set(["unrecognized_keys", "invalid_value", "invalid_union"]);

/**
 * Reads a specification as a program of this or another version wrote it.
 * @throws {NewerSpecError} when it has fields or values that this version does not know
 * @throws {z.ZodError} when it is none
 */
export function readRunSpec(json: string): RunSpec {
  const { data, error } = runSpec.safeParse(JSON.parse(json));
  if (error === undefined) return data;
  const unknown = error.issues
    .filter(({ code }) => newerIssues.has(code))
    .flatMap((issue) =>
      issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [issue.path],
    )
    .map((path) => path.join("."));
  throw unknown.length > 0 ? new NewerSpecError(unknown) : error;
}
