/**
 * `model.yaml`: what a model is, how a file becomes its input, and what its output means. A member of a union on `task`:
 * another task brings its own output, and shares the rest.
 */
import { z } from "zod";
import { bytes, milliseconds, seconds } from "./config-units.ts";
import { field, schemaFaults, showFound, showPath, type PathFault } from "./schema-faults.ts";
import { keysAt, type JsonSchema } from "./json-schema.ts";
import { bytesInput, imageInput, jsonInput, textInput } from "./model-inputs.ts";
import { fileName, pinnedFile, sha256, tensorName } from "./model-parts.ts";
import { MAX_ROW_VALUES, pluginInput, pluginOutput } from "./model-plugins.ts";
import { MiB } from "./resources.ts";

export const MANIFEST_NAME = "model.yaml";

/** In the order in which people usually want them; the last one is on every machine. */
export const providers = ["cuda", "webgpu", "cpu"] as const;
export type Provider = (typeof providers)[number];

const ratio = z.number().min(0).max(1);

const thresholds = (all: number) =>
  z
    .strictObject({ default: ratio.default(all), labels: z.record(z.string(), ratio).default({}) })
    .prefault({ default: all });

const labels = z.union([z.array(z.string().min(1)).min(1), pinnedFile], {
  error: "a list of labels, or { file, sha256 } of a text with one label on each line",
});

const maxRows = z.int().min(1).max(65_536);
const maxBatchBytes = bytes({ min: 1, max: 4_096 * MiB });
const maxBatchTokens = z.int().min(1).max(1_073_741_824);

const variant = z.strictObject({
  file: fileName,
  sha256,
  external: z.array(pinnedFile).max(64).default([]),
  providers: z.array(z.enum(providers)).min(1),
  /** Instead of those of the manifest: a card wants larger batches than a CPU. */
  batch: z
    .strictObject({
      max_rows: maxRows.optional(),
      max_bytes: maxBatchBytes.optional(),
      max_tokens: maxBatchTokens.optional(),
    })
    .prefault({}),
});

const shared = {
  version: z.literal(1).default(1),
  name: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/, "lower-case letters, digits, ., - and _, 64 at most"),
  description: z.string().max(2_000).optional(),
  model: z.strictObject({
    file: fileName,
    sha256,
    /** Files of weights that the model names. */
    external: z.array(pinnedFile).max(64).default([]),
    /** The same model in other precisions: the first one that names a provider is what that provider gets. */
    variants: z.array(variant).max(8).default([]),
  }),
  input: z.discriminatedUnion("kind", [bytesInput, jsonInput, textInput, imageInput, pluginInput]),
  /** Tried from the first to the last. */
  providers: z.array(z.enum(providers)).min(1).default(["cpu"]),
  batch: z
    .strictObject({
      max_rows: maxRows.default(128),
      /** Of the input tensors of one batch. */
      max_bytes: maxBatchBytes.default(64 * MiB),
      /** Of texts and prompts, with what the shorter ones of a batch are padded by. */
      max_tokens: maxBatchTokens.optional(),
      /** How long the first file of a batch waits for others while the engine is idle. */
      wait_ms: milliseconds({ min: 0, max: 10_000 }).default(2),
    })
    .prefault({}),
  engine: z
    .strictObject({
      threads: z.int().min(1).max(1_024).default(1),
      /** Without an answer for so long the engine is taken for hung, and ended. */
      batch_timeout_seconds: seconds({ min: 0.1, max: 86_400 }).default(120),
      /** The engine is renewed after so many batches, or when it has come to so much memory. */
      recycle_batches: z.int().min(1).default(1_000_000),
      recycle_memory: bytes({ min: MiB }).optional(),
    })
    .prefault({}),
};

const classify = z.strictObject({
  task: z.literal("classify"),
  ...shared,
  output: z.strictObject({
    tensor: tensorName,
    /** `none`: the values are probabilities already. */
    activation: z.enum(["softmax", "none"]).default("softmax"),
    /** How many labels an answer names, the likeliest first. */
    top: z.int().min(1).max(1_000).default(1),
    /** Below it the answer is the fall-back label. */
    thresholds: thresholds(0),
    fallback: z.string().min(1).default("unknown"),
  }),
  labels,
});

const multiLabel = z.strictObject({
  task: z.literal("multi-label"),
  ...shared,
  output: z.strictObject({
    tensor: tensorName,
    activation: z.enum(["sigmoid", "none"]).default("sigmoid"),
    thresholds: thresholds(0.5),
    /** The label of a file to which none applies. */
    fallback: z.string().min(1).default("none"),
  }),
  labels,
});

const regress = z.strictObject({
  task: z.literal("regress"),
  ...shared,
  output: z.strictObject({
    tensor: tensorName,
    /** Of the values of one file; without them they are a list. */
    names: z.array(z.string().min(1)).min(1).optional(),
  }),
});

const embed = z.strictObject({
  task: z.literal("embed"),
  ...shared,
  output: z.strictObject({
    tensor: tensorName,
    /** How the vectors of the tokens of a file become one: `none` when the model gives one already. */
    pool: z.enum(["none", "first", "mean"]).default("none"),
    /** To length 1. */
    normalize: z.boolean().default(true),
  }),
});

/** What the outputs mean says a module in the folder. */
const custom = z.strictObject({ task: z.literal("custom"), ...shared, output: pluginOutput });

/** What a file is put into before a model goes on with it. */
const promptInput = z.strictObject({
  kind: z.literal("prompt"),
  /** System text, user text and worked examples. */
  template: pinnedFile,
  tokenizer: pinnedFile,
  /** With the chat template and the names of the special tokens. */
  tokenizer_config: pinnedFile,
  /** Bytes of a file that are read at most. */
  max_bytes: bytes({ min: 1, max: 64 * MiB }).default(MiB),
  too_long: z.enum(["truncate", "fail"]).default("truncate"),
});

const generate = z.strictObject({
  task: z.literal("generate"),
  ...shared,
  /** `config.json` of Hugging Face: layers, heads, sizes. */
  config: pinnedFile,
  input: promptInput,
  output: z.strictObject({
    /** A JSON Schema; every answer is held to it, so every field of it must be bounded. */
    schema: pinnedFile,
    /** The property whose text is the label of the file. */
    label: z.string().min(1).optional(),
  }),
});

export const modelManifest = z.discriminatedUnion("task", [classify, multiLabel, regress, embed, custom, generate]);
export type ModelManifest = Readonly<z.output<typeof modelManifest>>;
/** Those that make rows of tensors. */
export type TensorManifest = Exclude<ModelManifest, { task: "generate" }>;
export type GenerateManifest = Extract<ModelManifest, { task: "generate" }>;
export type ModelInput = TensorManifest["input"];
export type BytesInput = Extract<ModelInput, { kind: "bytes" }>;
export type JsonInput = Extract<ModelInput, { kind: "json" }>;
export type TextInput = Extract<ModelInput, { kind: "text" }>;
export type ImageInput = Extract<ModelInput, { kind: "image" }>;

/** The file of the model that a provider gets, within the folder. */
export function modelFileFor({ model }: ModelManifest, provider: Provider): string {
  return variantFor(model, provider)?.file ?? model.file;
}

/** How large a batch may be on a provider: rows, bytes of its input tensors, tokens of its texts. */
export function batchLimitsFor({ model, batch }: ModelManifest, provider: Provider) {
  const own = variantFor(model, provider)?.batch;
  return {
    maxRows: own?.max_rows ?? batch.max_rows,
    maxBytes: own?.max_bytes ?? batch.max_bytes,
    maxTokens: own?.max_tokens ?? batch.max_tokens ?? Infinity,
  };
}

export type BatchLimits = Readonly<ReturnType<typeof batchLimitsFor>>;

function variantFor({ variants }: ModelManifest["model"], provider: Provider) {
  return variants.find(({ providers: named }) => named.includes(provider));
}

export type CheckedManifest =
  | { readonly kind: "valid"; readonly manifest: ModelManifest }
  | { readonly kind: "faulty"; readonly faults: readonly PathFault[] };

/** JSON Schema (2020-12) of what people write, for editors. */
export function manifestJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(modelManifest, {
    io: "input",
    override: ({ jsonSchema }) => {
      // Bounds that every whole number of JavaScript has say nothing to a reader.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return { ...(schema as JsonSchema), title: "Headroom model" };
}

/** Checks what was written, the rules between settings included; every fault is told. */
export function checkManifest(raw: unknown): CheckedManifest {
  const parsed = modelManifest.safeParse(raw);
  if (!parsed.success) return { kind: "faulty", faults: schemaFaults(parsed.error.issues, raw, knownKeys) };
  const faults = ruleFaults(parsed.data);
  return faults.length > 0 ? { kind: "faulty", faults } : { kind: "valid", manifest: parsed.data };
}

function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  return keysAt(manifestJsonSchema(), path);
}

function ruleFaults(manifest: ModelManifest): PathFault[] {
  const { input } = manifest;
  const faults: PathFault[] = [];
  const told: Told = (path, expected) => {
    const found = path.reduce<unknown>((value, part) => field(value, String(part)), manifest);
    faults.push({ path, where: showPath(path), expected, found: showFound(found, path) });
  };
  if (manifest.task === "embed" && manifest.output.pool === "mean" && input.kind !== "text") {
    told(["output", "pool"], "none or first: a mean over tokens needs an input of text");
  }
  if (input.kind === "bytes" && input.block_bytes !== undefined) {
    const longest = Math.max(...input.windows.map(({ length }) => length));
    if (input.block_bytes < longest) told(["input", "block_bytes"], `${longest} at least, the longest window`);
  }
  if (input.kind === "text" && input.split.overlap_tokens >= input.max_tokens) {
    told(["input", "split", "overlap_tokens"], `less than max_tokens (${input.max_tokens})`);
  }
  if (input.kind === "image") checkImage(input, told);
  checkPlugins(manifest, told);
  checkBatchTokens(manifest, told);
  if ("labels" in manifest) checkLabels(manifest, told);
  return faults;
}

type Told = (path: PropertyKey[], expected: string) => void;

/** A budget below the longest row would be none. */
function checkBatchTokens({ input, batch, model }: ModelManifest, told: Told): void {
  const places: [PropertyKey[], number | undefined][] = [
    [["batch", "max_tokens"], batch.max_tokens],
    ...model.variants.map((variant, at): [PropertyKey[], number | undefined] => [
      ["model", "variants", at, "batch", "max_tokens"],
      variant.batch.max_tokens,
    ]),
  ];
  for (const [path, tokens] of places) {
    if (tokens === undefined) continue;
    if (input.kind !== "text" && input.kind !== "prompt") told(path, "none: only texts and prompts have tokens");
    else if (input.kind === "text" && tokens < input.max_tokens) {
      told(path, `${input.max_tokens} at least, as input.max_tokens says`);
    }
  }
}

function checkImage(input: ImageInput, told: Told): void {
  const colours = input.colors === "grey" ? 1 : 3;
  for (const name of ["mean", "std"] as const) {
    const count = input[name]?.length ?? colours;
    if (count !== colours) told(["input", name], `as many numbers as there are colors (${colours})`);
  }
  if (input.shorter_side === undefined) return;
  const least = Math.max(input.width, input.height);
  if (input.fit !== "crop") told(["input", "shorter_side"], "fit: crop beside it");
  else if (input.shorter_side < least) told(["input", "shorter_side"], `${least} at least, or nothing can be cut out`);
}

function checkPlugins({ task, input }: ModelManifest, told: Told): void {
  if (task === "custom" && input.kind === "text" && input.too_long === "split") {
    told(["input", "too_long"], "truncate or fail: a plugin tells the answer of one row");
  }
  if (input.kind !== "plugin") return;
  for (const [at, { tensor, shape }] of input.tensors.entries()) {
    if (input.tensors.findIndex((other) => other.tensor === tensor) < at) {
      told(["input", "tensors", at, "tensor"], "each tensor once");
    }
    if (shape.reduce((product, size) => product * size, 1) > MAX_ROW_VALUES) {
      told(["input", "tensors", at, "shape"], `${MAX_ROW_VALUES} values for one file at most`);
    }
  }
}

function checkLabels({ labels: known, output }: Extract<ModelManifest, { labels: unknown }>, told: Told): void {
  if (!Array.isArray(known)) return;
  const twice = known.findIndex((label, at) => known.indexOf(label) !== at);
  if (twice >= 0) told(["labels", twice], "a label of its own");
  for (const label of Object.keys(output.thresholds.labels)) {
    if (!known.includes(label)) told(["output", "thresholds", "labels", label], "as its key one of the labels");
  }
}
