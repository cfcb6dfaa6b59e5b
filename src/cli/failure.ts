/** From an error to what a person reads and the shell gets. */
import { CommanderError } from "commander";
import { exitCodes, FaultsError, HeadroomError, messageOf } from "../contract/errors.ts";
import type { Io } from "./io.ts";
import { isDebugging } from "./settings.ts";

/** Codes of failed file operations that say the machine cannot go on. */
const diskCodes: Readonly<Partial<Record<string, string>>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EIO: "the disk does not answer",
};

/** Says what went wrong, once, and returns the exit code. */
export function reportFailure(error: unknown, io: Io): number {
  // Help, version and what commander refused have been printed by commander.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  // Its reader has gone, or it is told of at the end (main.ts).
  if (io.isOutputFailure?.(error) === true) return exitCodes.ok;
  io.stderr.write(`headroom: ${failureText(error)}\n`);
  if (isDebugging(io.env) && error instanceof Error) io.stderr.write(`${error.stack ?? ""}\n${causes(error)}`);
  return exitCodeOf(error);
}

/** The exit code that stands for an error: its own, or 3 for what nobody foresaw. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof HeadroomError) return error.exitCode;
  if (error instanceof AggregateError) return Math.max(...error.errors.map(exitCodeOf), exitCodes.infrastructure);
  return exitCodes.infrastructure;
}

/** What a person reads of an error. */
export function failureText(error: unknown): string {
  if (error instanceof AggregateError) return [error.message, ...error.errors.map(messageOf)].join("\n  ");
  if (error instanceof FaultsError) return faultsText(error);
  if (error instanceof HeadroomError) return error.message;
  const refusal = redisRefusal(error);
  if (refusal !== undefined) return `expected redis to take the command, found: ${refusal}`;
  const disk = diskCodes[codeOf(error)];
  if (disk !== undefined) return `${disk}: ${messageOf(error)}`;
  return `unexpected: ${messageOf(error)}`;
}

/** What Redis said when it refused: in a transaction, why the command in it was refused. */
function redisRefusal(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== "ReplyError") return undefined;
  const earlier: unknown = "previousErrors" in error ? error.previousErrors : undefined;
  const [first] = Array.isArray(earlier) ? (earlier as unknown[]) : [];
  return messageOf(first ?? error);
}

/** One fault is one line; several are a list. */
function faultsText({ faults, message }: FaultsError): string {
  const [only, ...more] = faults;
  if (only === undefined || more.length > 0) return message;
  return `${only.where}: expected ${only.expected}, found ${only.found}`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function causes(error: Error): string {
  let text = "";
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) text += `cause: ${cause.stack ?? ""}\n`;
  return text;
}
