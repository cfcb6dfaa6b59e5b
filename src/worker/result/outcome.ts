/** What the end of a process means for its file, and whether the file is tried again. Pure. */
import type { FileEntry } from "../../contract/files.ts";
import { defaultRetryRules, type FailureClass, type RetryRule } from "../../contract/outcomes.ts";
import { equalJitterMs } from "../../platform/backoff.ts";

/** Where a start failed before the binary ran. */
export type StartStage = "fork" | "folder" | "output" | "exec" | "setup" | "launcher";

/** How a process ended, as the launcher tells it. */
export type ProcessEnd =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  | { readonly kind: "not-started"; readonly stage: StartStage; readonly errno: string }
  /** Never started: it was still waiting when its chunk was ended. */
  | { readonly kind: "dropped" }
  /** The launcher died while this process ran; `others` more ran at that moment. */
  | { readonly kind: "lost"; readonly others: number };

/** Why the worker itself ended a process. */
export type StopReason = "timeout" | "evicted" | "too-large" | "aborted" | "budget" | "stuck";

export interface EndContext {
  readonly binary: string;
  readonly successExitCodes: readonly number[];
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
  /** Set when the worker ended the process. */
  readonly stop: StopReason | null;
  /** What whoever ended it said of why. */
  readonly stopMessage: string | null;
  /** The kernel killed something for memory while the process ran. */
  readonly sawMemoryKill: boolean;
  /** The output's file system has no room left. */
  readonly isDiskFull: boolean;
}

export interface Failure {
  readonly class: FailureClass;
  readonly message: string;
  /** The disk took no more: no attempt is burned, and the file waits for room. */
  readonly isDiskFull?: true;
  /** This worker does not have it; another one may. */
  readonly missingBinary?: string;
}

/** The input is at fault: no other attempt helps. */
export function badInput(message: string): Failure {
  return { class: "bad-input", message };
}

/** What the system says when a disk, or the part of it that this user may have, is full. */
export function isFullErrno(errno: string): boolean {
  return errno === "ENOSPC" || errno === "EDQUOT";
}

/** Why the process failed its file, or null when it ended well. */
export function classify(end: ProcessEnd, context: EndContext): Failure | null {
  // A process that ended well in the moment it was to be ended did its work.
  if (end.kind === "exited" && context.successExitCodes.includes(end.code)) {
    return context.stop === "too-large" || context.stop === "budget" ? stopped(context.stop, context) : null;
  }
  if (end.kind === "not-started") return notStarted(end.stage, end.errno, context.binary);
  if (end.kind === "lost") return lost(end.others);
  if (context.stop !== null) return stopped(context.stop, context);
  switch (end.kind) {
    case "dropped":
      return { class: "cancelled", message: "ended before the process was started" };
    case "signalled":
      return signalled(end.signal, context);
    case "exited":
      return exited(end.code, context);
  }
}

function exited(code: number, { successExitCodes, isDiskFull }: EndContext): Failure {
  const expected = `expected exit code ${successExitCodes.join(" or ")}, found ${code}`;
  return isDiskFull
    ? { class: "infrastructure", isDiskFull: true, message: `no space left where the output goes: ${expected}` }
    : { class: "exit", message: expected };
}

function signalled(signal: string, { sawMemoryKill, isDiskFull }: EndContext): Failure {
  if (signal === "SIGKILL" && sawMemoryKill) {
    return { class: "out-of-memory", message: "the kernel killed the process for lack of memory" };
  }
  // A mapped file cannot grow on a full disk: the kernel says so with SIGBUS.
  if (signal === "SIGBUS" && isDiskFull) {
    return {
      class: "infrastructure",
      isDiskFull: true,
      message: "no space left where the output goes: ended by SIGBUS",
    };
  }
  return { class: "signal", message: `expected an exit, found the process ended by ${signal}` };
}

function stopped(stop: StopReason, { timeoutMs, maxOutputBytes, stopMessage }: EndContext): Failure {
  switch (stop) {
    case "timeout":
      return { class: "timeout", message: `expected an end within ${timeoutMs} ms, found the process still running` };
    case "evicted":
      return {
        class: "out-of-memory",
        message: `ended by the governor: ${stopMessage ?? "it outgrew its reservation"}`,
      };
    case "too-large":
      return { class: "bad-output", message: `expected an output of at most ${maxOutputBytes} bytes, found more` };
    case "budget":
      return { class: "budget", message: stopMessage ?? "it used more than it may" };
    case "stuck":
      return { class: "stuck", message: stopMessage ?? "it did not get on" };
    case "aborted":
      return { class: "cancelled", message: "ended while it ran" };
  }
}

function lost(others: number): Failure {
  return others === 0
    ? { class: "signal", message: "the launcher was killed while this process ran alone" }
    : { class: "infrastructure", message: "the launcher was killed while this process ran beside others" };
}

/** Failures of `exec` that are about the binary or the argument list, not about the machine. */
const execFaults: Readonly<Record<string, (binary: string) => Failure>> = {
  ENOENT: (binary) => ({
    class: "infrastructure",
    missingBinary: binary,
    message: `expected the binary ${binary} and its interpreter on this node, found none`,
  }),
  EACCES: (binary) => ({ class: "policy", message: `expected ${binary} to be executable, found no permission` }),
  EPERM: (binary) => ({ class: "policy", message: `expected ${binary} to be executable, found no permission` }),
  ENOEXEC: (binary) => ({
    class: "policy",
    message: `expected ${binary} to be a program or to begin with #!, found neither`,
  }),
  E2BIG: () => ({ class: "policy", message: "expected an argument list that the system takes, found a longer one" }),
};

function notStarted(stage: StartStage, errno: string, binary: string): Failure {
  const fault = stage === "exec" ? execFaults[errno] : undefined;
  if (fault !== undefined) return fault(binary);
  const places: Readonly<Record<StartStage, string>> = {
    fork: "a new process",
    folder: "the working folder",
    output: "the temporary output file",
    exec: `the binary ${binary}`,
    setup: "the standard streams",
    launcher: "the launcher",
  };
  const isDiskFull = stage === "output" && isFullErrno(errno);
  const message = `could not start: expected ${places[stage]}, found ${errno}`;
  return { class: "infrastructure", message, ...(isDiskFull && { isDiskFull }) };
}

export type RetryDecision = { readonly retry: true; readonly delayMs: number } | { readonly retry: false };

/** Whether a file would be started again if it failed for this reason once more. */
export function mayRetry(
  failureClass: FailureClass,
  { tries }: Pick<FileEntry, "tries">,
  rules: Readonly<Partial<Record<FailureClass, RetryRule | undefined>>>,
): boolean {
  return (tries?.[failureClass] ?? 0) + 1 < (rules[failureClass] ?? defaultRetryRules[failureClass]).attempts;
}

/** Whether a file that has now failed `tries` times for this reason is started again, and after which pause. */
export function decideRetry(
  failureClass: FailureClass,
  tries: number,
  rules: Readonly<Partial<Record<FailureClass, RetryRule | undefined>>>,
  random: () => number,
): RetryDecision {
  const rule = rules[failureClass] ?? defaultRetryRules[failureClass];
  if (tries >= rule.attempts) return { retry: false };
  return { retry: true, delayMs: equalJitterMs(tries, rule, random) };
}
