/**
 * Plans as files: canonical JSON with the hash of its content, so that the graph that was approved is, byte for byte, the
 * graph that runs. The hash finds accidents and edits; it is no signature: who may write the file may seal it anew.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from "node:fs";
import { InvalidInputError, messageOf, type Fault } from "../contract/errors.ts";
import { schemaFaults } from "../contract/schema-faults.ts";
import { storedPlan, type PlanOrigin, type PlanParts, type StoredPlan } from "../contract/stored-plan.ts";
import { placeOf, readWholeJson } from "../contract/strict-json.ts";
import { canonicalJson } from "../contract/flow-plan.ts";

/** A larger file is no plan. */
const MAX_BYTES = 64 * 1_048_576;

/** The plan with its hashes. */
export function sealPlan(parts: PlanParts): StoredPlan {
  const content = { version: 1 as const, graphSha256: graphHash(parts.graph), ...parts };
  return { ...content, sha256: sha256Of(content) };
}

function sha256Of(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}

/** As `planHash` has it: a planner brings no other files. */
function graphHash(flow: StoredPlan["graph"]): string {
  return sha256Of({ flow, files: {} });
}

/** Where a plan came from. */
export function originOf({ goal, planner, prompt, spent, acceptedAtMs }: StoredPlan): PlanOrigin {
  return { goal, planner, prompt, spent, acceptedAtMs };
}

/** The text of a plan's file. */
export function planText(plan: StoredPlan): string {
  return `${canonicalJson(plan)}\n`;
}

/** Reads the text of a plan. `where` names it in faults. @throws {InvalidInputError} when it is none, or was changed */
export function parsePlan(text: string, where: string): StoredPlan {
  const read = readWholeJson(text);
  if (read.kind === "fault") {
    const { line, column } = placeOf(text, read.at);
    throw faulty([{ where: `${where}:${line}:${column}`, expected: `JSON: ${read.expected}`, found: read.found }]);
  }
  const parsed = storedPlan.safeParse(read.value);
  if (!parsed.success) {
    const faults = schemaFaults(parsed.error.issues, read.value, () => Object.keys(storedPlan.shape));
    throw faulty(faults.map((fault) => ({ ...fault, where: `${where}: ${fault.where}` })));
  }
  const { sha256, ...content } = parsed.data;
  const faults = [
    hashFault(`${where}: graphSha256`, graphHash(content.graph), content.graphSha256),
    hashFault(`${where}: sha256`, sha256Of(content), sha256),
  ].flatMap((fault) => fault ?? []);
  if (faults.length > 0) throw faulty(faults);
  return parsed.data;
}

/** Reads the file of a plan. @throws {InvalidInputError} */
export function loadPlan(path: string): StoredPlan {
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > MAX_BYTES)
      throw faulty([{ where: path, expected: `${MAX_BYTES} bytes at most`, found: `${size} bytes` }]);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof InvalidInputError) throw error;
    throw faulty([{ where: path, expected: "a readable file", found: messageOf(error) }], error);
  }
  return parsePlan(text, path);
}

/** Writes a plan whole or not at all. */
export function writePlan(path: string, plan: StoredPlan): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "w", 0o600);
  try {
    writeSync(file, planText(plan));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

function hashFault(where: string, real: string, told: string): Fault | undefined {
  return real === told ? undefined : { where, expected: `the hash of its content, ${real}`, found: told };
}

function faulty(faults: readonly Fault[], cause?: unknown): InvalidInputError {
  return new InvalidInputError("plan", faults, { cause });
}
