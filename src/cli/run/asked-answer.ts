/** The schema that answers of a model are to be held to, as the command line names it. */
import { readFileSync } from "node:fs";
import { parseAnswerSchema } from "../../contract/answer-schema.ts";
import { FaultsError, InvalidInputError, messageOf, type Fault } from "../../contract/errors.ts";
import type { JsonSchema } from "../../contract/json-schema.ts";
import type { AskedAnswer } from "../../contract/run-spec.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import type { Io } from "../io.ts";
import type { RunFlags } from "../run-flags.ts";

const MAX_TOKENS = 1_000_000;

/** Undefined where none is named. @throws {InvalidInputError} with what is wrong with the file, or with the options */
export function askedAnswerOf(flags: RunFlags, io: Io): AskedAnswer | undefined {
  const { schema, maxAnswerTokens } = flags;
  if (schema === undefined) {
    if (maxAnswerTokens === undefined) return undefined;
    throw fault("--max-answer-tokens", "--schema with it", "none");
  }
  const answer = { schema: readSchema(schema, io) };
  return maxAnswerTokens === undefined ? answer : { ...answer, maxTokens: tokensOf(maxAnswerTokens) };
}

function readSchema(file: string, io: Io): AskedAnswer["schema"] {
  let schema: unknown;
  try {
    schema = JSON.parse(readFileSync(resolveFrom(io.cwd, file), "utf8"));
  } catch (cause) {
    throw fault("--schema", "a file with a JSON Schema", messageOf(cause), cause);
  }
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
    throw fault("--schema", "a file with a JSON Schema, an object", JSON.stringify(schema).slice(0, 80));
  }
  try {
    parseAnswerSchema(schema as JsonSchema);
  } catch (error) {
    if (!(error instanceof FaultsError)) throw error;
    const faults = error.faults.map((own): Fault => ({ ...own, where: `--schema ${file}, ${own.where}` }));
    throw new InvalidInputError("the schema of the answers", faults, { cause: error });
  }
  return schema as AskedAnswer["schema"];
}

function tokensOf(text: string): number {
  const tokens = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (tokens >= 1 && tokens <= MAX_TOKENS) return tokens;
  throw fault("--max-answer-tokens", `a whole number from 1 to ${MAX_TOKENS}`, JSON.stringify(text));
}

function fault(where: string, expected: string, found: string, cause?: unknown): InvalidInputError {
  return new InvalidInputError("command line", [{ where, expected, found }], { cause });
}
