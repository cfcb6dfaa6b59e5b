/** The `allow` section of the configuration: what the operator lets runs use. What it means for a run says `policy.ts`. */
import { z } from "zod";
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

const writtenBinary = z.union([z.string(), z.strictObject({ path: z.string(), sha256: z.string().optional() })]);

const binaries = z
  .union([z.literal(ANY), z.array(writtenBinary)], {
    error: '"any", or a list of absolute paths, each alone or as { path, sha256 }',
  })
  .transform((written, context): typeof ANY | readonly AllowedBinary[] => {
    if (written === ANY) return ANY;
    return written.map((entry, at) => {
      const binary = typeof entry === "string" ? { path: entry } : entry;
      checkPath(binary.path, typeof entry === "string" ? [at] : [at, "path"], context);
      const { sha256 } = entry as AllowedBinary;
      if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) {
        context.addIssue({ code: "custom", path: [at, "sha256"], message: digestExpected, input: sha256 });
      }
      return binary;
    });
  });

const folders = z
  .union([z.literal(ANY), z.array(z.string())], { error: '"any", or a list of absolute paths of folders' })
  .transform((written, context): typeof ANY | readonly string[] => {
    if (written === ANY) return ANY;
    for (const [at, path] of written.entries()) checkPath(path, [at], context);
    return written;
  });

/** Absent is any; an empty list is none. */
export const allowSchema = z.strictObject({
  binaries: binaries.optional(),
  /** Roots of inputs. */
  read: folders.optional(),
  /** Roots of outputs. */
  write: folders.optional(),
  /** Names of variables that a run may set or have handed on; absent beside a list of binaries is none. */
  env: z.union([z.literal(ANY), z.array(z.string())], { error: '"any", or a list of names of variables' }).optional(),
});

export type Allow = Readonly<z.output<typeof allowSchema>>;
/** What people write. */
export type AllowInput = z.input<typeof allowSchema>;

/** The rules that a program passes. @throws {InvalidInputError} naming each that is none */
export function parseAllow(written: AllowInput = {}): Allow {
  const parsed = allowSchema.safeParse(written);
  if (parsed.success) return parsed.data;
  const faults = schemaFaults(parsed.error.issues, written, () => Object.keys(allowSchema.shape));
  throw new InvalidInputError(
    "policy",
    faults.map(({ where, expected, found }) => ({ where: `allow.${where}`, expected, found })),
  );
}
