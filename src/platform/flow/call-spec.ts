/**
 * The specification of a call in two parts: what many calls of a flow have in common, kept and read once, and what is its
 * own. A flow of ten thousand nodes that differ in their arguments has one common part.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { readRunSpec, type RunSpec } from "../../contract/run-spec.ts";

const ownPart = z.object({
  /** The digest of the common part. */
  b: z.string(),
  /** Arguments behind the binary. */
  a: z.array(z.string()),
  e: z.record(z.string(), z.string()).optional(),
  /** Name of the output. */
  n: z.string(),
  /** What it sees when it is shut in. */
  r: z.array(z.string()).optional(),
  /** Digest of what it depends on beside its arguments. */
  d: z.string(),
});
export type OwnPart = z.output<typeof ownPart>;

export interface SplitSpec {
  readonly base: string;
  readonly own: OwnPart;
}

/** Takes a specification of a call apart. */
export function splitSpec(spec: RunSpec): SplitSpec {
  const { command, env, input, output } = spec;
  const [binary = "", ...a] = command;
  const { reads, ...rest } = spec;
  const common = { ...rest, command: [binary], env: {}, input: { kind: "none" }, output: { ...output, name: "-" } };
  const base = JSON.stringify(common);
  const b = createHash("sha1").update(base).digest("base64url");
  const d = input.kind === "none" ? input.sha256 : "";
  return {
    base,
    own: { b, a, n: output.name, d, ...(Object.keys(env).length > 0 && { e: env }), ...(reads && { r: [...reads] }) },
  };
}

/** Puts a specification together again. */
export function joinSpec(base: RunSpec, { a, e, n, d, r }: OwnPart): RunSpec {
  return {
    ...base,
    command: [...base.command, ...a],
    env: e ?? {},
    ...(r !== undefined && { reads: r }),
    input: { kind: "none", root: "/", sha256: d },
    output: { ...base.output, name: n },
  };
}

/** Reads the own part as it was written. @throws {ZodError} when it is none */
export function parseOwn(json: string): OwnPart {
  return ownPart.parse(JSON.parse(json));
}

/** Reads the common part as it was written. @throws {ZodError} when it is none */
export function parseBase(json: string): RunSpec {
  return readRunSpec(json);
}
