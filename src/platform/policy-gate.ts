/**
 * The operator's policy over the disk of this machine: looks paths up without links, and has `contract/policy.ts` decide.
 * Links are looked up anew for each decision, because they may be changed while a process lives.
 */
import { basename, dirname, join } from "node:path";
import { ANY, type Allow } from "../contract/allow.ts";
import { callFaults } from "../contract/call-limits.ts";
import { messageOf, PolicyError, type Fault } from "../contract/errors.ts";
import { decidePath, envFaults, isRestricted, networkFaults, pathAsksOf } from "../contract/policy.ts";
import type { AllowedPlace, PathAsk, PathRule, Seen } from "../contract/policy.ts";
import type { RunSpec } from "../contract/run-spec.ts";
import type { ScheduledFlow } from "../contract/schedules.ts";
import { showPath, type PathFault } from "../contract/schema-faults.ts";
import { realPathOf } from "./confined-path.ts";

/** A binary that must have one of these digests when it is started. */
export interface Pin {
  readonly binary: string;
  readonly sha256: readonly string[];
}

/** What was allowed, so that a link which is changed afterwards gains nothing. */
export interface AllowedRun {
  readonly kind: "allowed";
  /** Names the binaries and the working folder by the paths that were looked up. */
  readonly spec: RunSpec;
  readonly pins: readonly Pin[];
  /** The input root without links; undefined where inputs are not confined. */
  readonly inputRoot: string | undefined;
}

export type PolicyDecision = AllowedRun | { readonly kind: "refused"; readonly faults: readonly PathFault[] };

export class PolicyGate {
  readonly #allow: Allow;

  constructor(allow: Allow = {}) {
    this.#allow = allow;
  }

  /** What the operator allows. */
  get allow(): Allow {
    return this.#allow;
  }

  /** Decides about a run, with every fault. */
  decide(spec: RunSpec): PolicyDecision {
    const faults: PathFault[] = [];
    const pins: Pin[] = [];
    let bound = spec;
    let inputRoot: string | undefined;
    for (const ask of pathAsksOf(this.#allow, spec)) {
      const decision = decidePath(ask, see(ask.rule, ask.value), this.#placesOf(ask.rule));
      if (decision.kind === "refused") faults.push(decision.fault);
      else if (ask.path[0] === "folder") bound = withFolder(bound, decision.real);
      else if (ask.rule === "read" && ask.path[0] === "input") inputRoot = decision.real;
      else if (ask.rule !== "write") {
        bound = withBinary(bound, ask.path, decision.real);
        if (decision.sha256 !== undefined) pins.push({ binary: decision.real, sha256: decision.sha256 });
      }
    }
    faults.push(...envFaults(this.#allow, spec), ...networkFaults(this.#allow, spec), ...callFaults(this.#allow, spec));
    return faults.length > 0 ? { kind: "refused", faults } : { kind: "allowed", spec: bound, pins, inputRoot };
  }

  /**
   * Lets an allowed run through. `placeOf` says where in what a person wrote a place of the run stands.
   * @throws {PolicyError} with every fault
   */
  require(spec: RunSpec, placeOf: (path: PathFault["path"]) => string = showPath): void {
    const decision = this.decide(spec);
    if (decision.kind === "allowed") return;
    throw new PolicyError(
      decision.faults.map(({ path, expected, found }) => ({ where: placeOf(path), expected, found })),
    );
  }

  /**
   * Lets the flow of a schedule through, of which no more is known than where it lies: its file is read later and elsewhere.
   * @throws {PolicyError} with every fault
   */
  requireScheduledFlow({ file, folder }: ScheduledFlow): void {
    const faults: Fault[] = [];
    if (isRestricted(this.#allow, "binaries")) {
      const expected = "no flow: which of allow.binaries it starts is known only when its file is read";
      faults.push({ where: "flow", expected, found: JSON.stringify(file) });
    }
    const asked = [
      ["read", "flow.file", file],
      ["write", "flow.folder", folder],
    ] as const;
    for (const [rule, where, path] of asked) {
      const fault = this.pathFault(rule, path);
      if (fault !== undefined) faults.push({ where, expected: fault.expected, found: fault.found });
    }
    if (faults.length > 0) throw new PolicyError(faults);
  }

  /** Why nothing may be written to a folder now, or undefined. */
  writeFault(folder: string): PathFault | undefined {
    const fault = this.pathFault("write", folder);
    return fault && { ...fault, path: ["output", "root"], where: "output.root" };
  }

  /** What is known of one path that a flow names: why it is not allowed, or undefined. */
  pathFault(rule: PathRule, path: string): PathFault | undefined {
    if (!isRestricted(this.#allow, rule)) return undefined;
    const decision = decidePath({ rule, path: [], value: path }, see(rule, path), this.#placesOf(rule));
    return decision.kind === "refused" ? decision.fault : undefined;
  }

  #placesOf(rule: PathRule): AllowedPlace[] {
    const entries = this.#allow[rule];
    if (entries === undefined || entries === ANY) return [];
    return entries.map((entry) => {
      const { path, ...pin } = typeof entry === "string" ? { path: entry } : entry;
      return { written: path, seen: see(rule, path), ...pin };
    });
  }
}

function see(rule: PathRule, path: string): Seen {
  try {
    const real = rule === "binaries" ? join(realPathOf(dirname(path)), basename(path)) : realPathOf(path);
    return { kind: "real", real };
  } catch (error) {
    const why = error instanceof Error && "code" in error ? String(error.code) : messageOf(error);
    return { kind: "unknown", why };
  }
}

function withFolder(spec: RunSpec, path: string): RunSpec {
  return spec.folder === undefined ? spec : { ...spec, folder: { ...spec.folder, path } };
}

function withBinary(spec: RunSpec, [section]: PathAsk["path"], binary: string): RunSpec {
  const of = (command: readonly string[] | undefined): string[] => [binary, ...(command ?? []).slice(1)];
  if (section === "command") return { ...spec, command: of(spec.command) };
  if (section === "output") return { ...spec, output: { ...spec.output, check: of(spec.output.check) } };
  return { ...spec, inputRules: { ...spec.inputRules, check: of(spec.inputRules.check) } };
}
