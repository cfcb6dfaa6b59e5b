/**
 * Law 10: whether what the operator allows covers what a run asks for. Pure: paths come with what they are on this
 * machine, which `platform/policy-gate.ts` finds out. Intake, client, command line and worker decide with this code.
 */
import { TASK_VARIABLE } from "./agents.ts";
import { ANY, type Allow } from "./allow.ts";
import { isInside, isPlainAbsolute } from "./inside.ts";
import { printablePath } from "./path-bytes.ts";
import { DEFAULT_ENV_ALLOW, type RunSpec } from "./run-spec.ts";
import { showPath, type PathFault } from "./schema-faults.ts";

export type PathRule = "binaries" | "read" | "write" | "models";

/** One path of a run that a rule is about. */
export interface PathAsk {
  readonly rule: PathRule;
  /** Where in the run it stands. */
  readonly path: readonly (string | number)[];
  readonly value: string;
}

/**
 * What a path is without links. Of a binary that is its folder's real path and its name: programs such as busybox are
 * many in one file and act on the name, so allowing one name must not allow the others.
 */
export type Seen =
  { readonly kind: "real"; readonly real: string } | { readonly kind: "unknown"; readonly why: string };

export interface AllowedPlace {
  readonly written: string;
  readonly seen: Seen;
  readonly sha256?: string | undefined;
}

export type PathDecision =
  /** `sha256`: one of these the binary's digest must be; undefined when any may. */
  | { readonly kind: "allowed"; readonly real: string; readonly sha256: readonly string[] | undefined }
  | { readonly kind: "refused"; readonly fault: PathFault };

const SHOWN_ENTRIES = 5;
const things: Readonly<Record<PathRule, string>> = {
  binaries: "a binary that allow.binaries names",
  read: "a folder inside one of allow.read",
  write: "a folder inside one of allow.write",
  models: "a model inside a folder of allow.models",
};

/** Every path of a run that is about a rule which the operator has set. */
export function pathAsksOf(allow: Allow, spec: RunSpec): PathAsk[] {
  const { command, inputRules, input, output, executor, folder } = spec;
  const rule = executor === "infer" ? modelRule(allow) : "binaries";
  // Of a flow, each node is decided about by itself.
  const asks: PathAsk[] = executor === "flow" ? [] : [{ rule, path: ["command", 0], value: command[0] ?? "" }];
  const checks = [
    ["inputRules", inputRules.check],
    ["output", output.check],
  ] as const;
  for (const [section, check] of checks) {
    if (check !== undefined) asks.push({ rule: "binaries", path: [section, "check", 0], value: check[0] ?? "" });
  }
  if (input.kind !== "none") asks.push({ rule: "read", path: ["input", "root"], value: input.root });
  if (output.from !== "none") asks.push({ rule: "write", path: ["output", "root"], value: output.root });
  if (folder !== undefined) {
    const ask = { path: ["folder", "path"], value: folder.path };
    asks.push({ rule: "read", ...ask }, ...(folder.writable ? [{ rule: "write" as const, ...ask }] : []));
  }
  return asks.filter(({ rule }) => isRestricted(allow, rule));
}

/** What decides about a model: it is read, and no program of its own is started. */
export function modelRule(allow: Allow): "models" | "read" {
  return isRestricted(allow, "models") ? "models" : "read";
}

/** Whether the operator has set a rule that is not "any". */
export function isRestricted(allow: Allow, rule: PathRule): boolean {
  return allow[rule] !== undefined && allow[rule] !== ANY;
}

/** Decides about one path. */
export function decidePath(ask: PathAsk, seen: Seen, allowed: readonly AllowedPlace[]): PathDecision {
  const { rule, value } = ask;
  if (!isPlainAbsolute(value)) {
    const expected = `${things[rule]}, as an absolute path without .. parts`;
    return { kind: "refused", fault: faultOf(ask.path, expected, shown(value)) };
  }
  if (seen.kind === "unknown") return refuse(ask, allowed, `, whose folder cannot be looked up (${seen.why})`);
  const { real } = seen;
  const covering = allowed.filter(({ seen: at }) => at.kind === "real" && covers(rule, at.real, real));
  if (covering.length === 0) return refuse(ask, allowed, real === value ? "" : `, which is ${shown(real)}`);
  const pins = covering.map(({ sha256 }) => sha256).filter((sha256) => sha256 !== undefined);
  // A name that stands there without a digest needs none.
  return { kind: "allowed", real, sha256: pins.length < covering.length ? undefined : pins };
}

function covers(rule: PathRule, allowed: string, real: string): boolean {
  return rule === "binaries" ? allowed === real : isInside(allowed, real);
}

function refuse({ rule, path, value }: PathAsk, allowed: readonly AllowedPlace[], why: string): PathDecision {
  const names = listed(allowed.map(({ written }) => written));
  return { kind: "refused", fault: faultOf(path, `${things[rule]} (${names})`, `${shown(value)}${why}`) };
}

/**
 * The variables of a run that the operator has not allowed. A variable can make an allowed binary load any code
 * (`LD_PRELOAD`, `PYTHONPATH`), so a list of binaries alone allows no other variables than those of every run.
 */
export function envFaults(allow: Allow, spec: Pick<RunSpec, "env" | "envAllow">): PathFault[] {
  const names = allowedVariables(allow);
  if (names === ANY) return [];
  const allowed = new Set(names);
  // What an agent is told of its task is ours.
  const set = Object.keys(spec.env)
    .filter((name) => name !== TASK_VARIABLE)
    .map((name) => ({ name, path: ["env", name] }));
  const handedOn = spec.envAllow
    .map((name, at) => ({ name, path: ["envAllow", at] }))
    .filter(({ name }) => !DEFAULT_ENV_ALLOW.includes(name));
  return [...set, ...handedOn]
    .filter(({ name }) => !allowed.has(name))
    .map(({ name, path }) => faultOf(path, `a variable that allow.env names (${listed(names)})`, JSON.stringify(name)));
}

/** The network, which a job may name no more than the operator allows it. */
export function networkFaults(allow: Allow, { network }: Pick<RunSpec, "network">): PathFault[] {
  const isRefused = allow.network === false && network === true;
  return isRefused ? [faultOf(["network"], "no network (allow.network)", "true")] : [];
}

/** Names of the variables that may be set. */
export function allowedVariables(allow: Allow): typeof ANY | readonly string[] {
  return allow.env ?? (isRestricted(allow, "binaries") ? [] : ANY);
}

function faultOf(path: readonly (string | number)[], expected: string, found: string): PathFault {
  return { path, where: showPath(path), expected, found };
}

/** The first of the names that a rule has, for a message. */
export function listed(names: readonly string[]): string {
  if (names.length === 0) return "it names none";
  const more = names.length > SHOWN_ENTRIES ? ` and ${names.length - SHOWN_ENTRIES} more` : "";
  return `${names.slice(0, SHOWN_ENTRIES).join(", ")}${more}`;
}

function shown(path: string): string {
  return JSON.stringify(printablePath(path));
}
