/** The `allow` section of the configuration: what the operator lets runs use. What it means for a run says `policy.ts`. */
import { z } from "zod";
import { bytes, seconds } from "./config-units.ts";
import { InvalidInputError } from "./errors.ts";
import { isPlainAbsolute } from "./inside.ts";
import { schemaFaults } from "./schema-faults.ts";

/** Said instead of a list by an operator who means it. */
export const ANY = "any";

export interface AllowedBinary {
  readonly path: string;
  /** Another file under this path is not started. */
  readonly sha256?: string | undefined;
}

const pathExpected = "an absolute path without .. parts";
const digestExpected = "64 hexadecimal digits in lower case";

type Context = z.core.$RefinementCtx;

function checkPath(path: string, place: readonly (string | number)[], context: Context): void {
  if (isPlainAbsolute(path)) return;
  context.addIssue({ code: "custom", path: [...place], message: pathExpected, input: path });
}

function checkDigest(sha256: string, place: readonly (string | number)[], context: Context): void {
  if (/^[0-9a-f]{64}$/.test(sha256)) return;
  context.addIssue({ code: "custom", path: [...place], message: digestExpected, input: sha256 });
}

const writtenBinary = z.union([z.string(), z.strictObject({ path: z.string(), sha256: z.string().optional() })]);

const pinnedPaths = z
  .union([z.literal(ANY), z.array(writtenBinary)], {
    error: '"any", or a list of absolute paths, each alone or as { path, sha256 }',
  })
  .transform((written, context): typeof ANY | readonly AllowedBinary[] => {
    if (written === ANY) return ANY;
    return written.map((entry, at) => {
      const binary = typeof entry === "string" ? { path: entry } : entry;
      checkPath(binary.path, typeof entry === "string" ? [at] : [at, "path"], context);
      const { sha256 } = entry as AllowedBinary;
      if (sha256 !== undefined) checkDigest(sha256, [at, "sha256"], context);
      return binary;
    });
  });

/** `any`, or a list of texts that are each checked. */
const listOf = (what: string, check: typeof checkPath) =>
  z
    .union([z.literal(ANY), z.array(z.string())], { error: `"any", or a list of ${what}` })
    .transform((written, context): typeof ANY | readonly string[] => {
      if (written === ANY) return ANY;
      for (const [at, text] of written.entries()) check(text, [at], context);
      return written;
    });
const folders = listOf("absolute paths of folders", checkPath);
const digests = listOf("SHA-256 digests", checkDigest);

/** The most that one flow may ask for; absent is no limit. */
const flowLimits = z.strictObject({
  /** With those of flows in it, and as often as lists repeat them. */
  nodes: z.int().min(1).optional(),
  /** Nodes after one another. */
  depth: z.int().min(1).optional(),
  /** Nodes beside one another. */
  width: z.int().min(1).optional(),
  /** Time limits along the longest way through the flow, added up. */
  total_seconds: seconds({ min: 0.001 }).optional(),
  /** Of one node. */
  memory: bytes({ min: 1 }).optional(),
  /** Money that its agents may use, together. */
  cost_usd: z.number().min(0).optional(),
  /** Turns of its agents, together. */
  turns: z.int().min(1).optional(),
  /** Tokens that its agents may use, together. */
  tokens: z.int().min(1).optional(),
  /** Starts of one node, over all failure classes. */
  attempts: z.int().min(1).optional(),
});

/** How far a process is shut in, from not at all to most. */
export const sandboxLevels = ["none", "files", "strict"] as const;
export type SandboxLevel = (typeof sandboxLevels)[number];
/** Carried by workers that can shut processes in; jobs that are to be shut in wait for one. */
export const SANDBOX_LABEL = "sandbox";

/** Absent is any, but for code in folders of models; an empty list is none. */
export const allowSchema = z.strictObject({
  binaries: pinnedPaths.optional(),
  /** Roots of inputs. */
  read: folders.optional(),
  /** Roots of outputs. */
  write: folders.optional(),
  /** Names of variables that a run may set or have handed on; absent beside a list of binaries is none. */
  env: z.union([z.literal(ANY), z.array(z.string())], { error: '"any", or a list of names of variables' }).optional(),
  /** Tools that agents may use. */
  tools: z.union([z.literal(ANY), z.array(z.string())], { error: '"any", or a list of names of tools' }).optional(),
  /** Folders that models must lie in, in place of `read`; one with a digest is that model alone. */
  models: pinnedPaths.optional(),
  /** Digests of modules in folders of models whose code may run; absent is none, for a folder is data that people copy. */
  model_plugins: digests.optional(),
  /** Whether processes may have the network; absent leaves it to what asks for them. */
  network: z.boolean().optional(),
  /** The least that processes are shut in. */
  sandbox: z.enum(sandboxLevels).optional(),
  limits: flowLimits.optional(),
});

export type Allow = Readonly<z.output<typeof allowSchema>>;
export type FlowLimits = z.output<typeof flowLimits>;
/** What people write. */
export type AllowInput = z.input<typeof allowSchema>;

/** The rules that a program passes. @throws {InvalidInputError} naming each that is none */
export function parseAllow(written: AllowInput | Allow = {}): Allow {
  const parsed = allowSchema.safeParse(written);
  if (parsed.success) return parsed.data;
  const faults = schemaFaults(parsed.error.issues, written, (path) =>
    Object.keys(path.length === 0 ? allowSchema.shape : flowLimits.shape),
  );
  throw new InvalidInputError(
    "policy",
    faults.map(({ where, expected, found }) => ({ where: `allow.${where}`, expected, found })),
  );
}
