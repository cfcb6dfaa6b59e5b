/** From options, environment and configuration file to one checked plan of a run. Nothing is started here. */
import type { SandboxLevel } from "../../contract/allow.ts";
import { commandOf, compileConfig, type ResourceSettings } from "../../contract/config-compile.ts";
import type { Config } from "../../contract/config.ts";
import { parseSizeBytes } from "../../contract/config-units.ts";
import { InvalidInputError, type Fault } from "../../contract/errors.ts";
import { gather } from "../../contract/gather.ts";
import { parseRunSpec, type RunSpecInput } from "../../contract/run-request.ts";
import type { AskedAnswer, InputSpec, RunSpec } from "../../contract/run-spec.ts";
import { showPath } from "../../contract/schema-faults.ts";
import { checkTemplates } from "../../contract/template.ts";
import { resolveFrom } from "../../platform/current-folder.ts";
import { loadConfig } from "../../platform/config-file.ts";
import { realPathOf } from "../../platform/confined-path.ts";
import { PolicyGate } from "../../platform/policy-gate.ts";
import type { Io } from "../io.ts";
import { settingsOf, type RunFlags } from "../run-flags.ts";
import { openPlace } from "../settings.ts";
import { askedAnswerOf } from "./asked-answer.ts";
import { resolveBinary } from "./binary.ts";
import type { ListedInput } from "./listed-input.ts";
import { missing, openInput, parsePlanInput, placeOf, refuseMissing, type PlanInput } from "./plan-input.ts";
import { tellIdleOptions, tellRepeats, tellSlips } from "./slips.ts";

export interface RunPlan {
  readonly spec: RunSpecInput;
  readonly resources: ResourceSettings;
  readonly config: Config;
  /** Where the output folder was named, for errors. */
  readonly outputWhere: string;
  /** The list that standard input gave, if the input is one. The caller closes it. */
  readonly list: ListedInput | undefined;
}

/** What an earlier run says where the command line is silent. */
export interface EarlierRun {
  readonly executor: RunSpec["executor"];
  readonly command: readonly string[];
  readonly outputRoot: string;
  readonly input: InputSpec;
}

export interface PlanRequest {
  readonly flags: RunFlags;
  readonly childCommand: readonly string[] | undefined;
  readonly io: Io;
  readonly home: string;
  readonly earlier?: EarlierRun | undefined;
}

/** What a person asked for. */
export type RunRequest = Omit<PlanRequest, "home">;

/** The configuration with the options on top. @throws {InvalidInputError} with every fault */
export function loadRunConfig(request: RunRequest): Config {
  const { flags, childCommand, io } = request;
  const file = flags.config === undefined ? {} : { file: flags.config };
  const faults: Fault[] = [];
  const config = gather(faults, () =>
    loadConfig({ ...file, env: io.env, settings: settingsOf(flags, childCommand), cwd: io.cwd }),
  );
  if (config !== undefined) return config;
  // What only the command line says is told with the others; else the plan tells of it.
  gather(faults, () => ownRules(request));
  gather(faults, () => openPlace(flags, io));
  if (childCommand !== undefined) gather(faults, () => withBinary(childCommand, "command", request));
  const { input = "" } = flags;
  if (input !== "") {
    gather(faults, () => {
      refuseMissing(input, io);
    });
  }
  throw new InvalidInputError(flags.config === undefined ? "command line" : `run with ${flags.config}`, faults);
}

/** @throws {InvalidInputError} naming each thing that is missing or wrong */
export async function openRunPlan(request: PlanRequest, config: Config): Promise<RunPlan> {
  const { command, own, opened, outputRoot, outputWhere, checks } = checkRequest(request, config);
  const { input, list } = await openInput(opened, request);
  if (list !== undefined) tellRepeats(request.io, list);
  const { title } = request.flags;
  const checked = {
    ...config,
    input: { ...config.input, ...checks.input },
    output: { ...config.output, ...checks.output },
  };
  const compiled = compileConfig(checked, {
    input,
    outputRoot,
    command,
    ...(isOfModel(request) && { executor: "infer" as const, outputFrom: "results" as const }),
    ...(title === undefined ? {} : { name: title }),
  });
  const spec = withOwnRules(compiled.run, own);
  try {
    requireAllowed(spec, request, { config, outputWhere });
  } catch (error) {
    list?.close();
    throw error;
  }
  return { spec, resources: compiled.resources, config, outputWhere, list };
}

/** @throws {PolicyError} when the configuration of this machine does not allow the run */
function requireAllowed(
  spec: RunSpecInput,
  { flags, childCommand }: PlanRequest,
  { config, outputWhere }: { config: Config; outputWhere: string },
): void {
  new PolicyGate(config.allow).require(parseRunSpec(spec), (path) => {
    if (path[0] === "command") return flags.model === undefined ? commandPlace(childCommand, flags) : "--model";
    if (path[0] === "input") return placeOf("input", flags);
    if (path[0] === "output" && path[1] === "root") return outputWhere;
    return showPath(path);
  });
}

function commandPlace(childCommand: readonly string[] | undefined, flags: RunFlags): string {
  return childCommand === undefined && flags.config !== undefined ? "binary.path" : "command";
}

interface CheckedRequest {
  /** The binary's absolute path first. */
  readonly command: readonly string[];
  readonly own: OwnRules;
  readonly opened: PlanInput;
  readonly outputRoot: string;
  readonly outputWhere: string;
  readonly checks: CheckCommands;
}

/** The check commands of inputs and outputs, with the absolute paths of their binaries. */
type CheckCommands = Readonly<Record<"input" | "output", { readonly check?: string[] }>>;

/** Looks at every part before it gives up, so that all faults are told together. Opens nothing. @throws {InvalidInputError} */
export function checkRequest(request: RunRequest, config: Config): CheckedRequest {
  const { flags, earlier, io } = request;
  const faults: Fault[] = [];
  if (earlier === undefined) tellSlips(io, request.childCommand ?? commandOf(config) ?? []);
  const command = gather(faults, () => checkedCommand(request, config));
  const own = gather(faults, () => ownRules(request));
  const opened = gather(faults, () => parsePlanInput(request, config));
  const checks = checkCommands(faults, request, config);
  const outputWhere = placeOf("output", flags);
  const outputRoot = gather(faults, () => outputRootOf(config.directories.output ?? earlier?.outputRoot, request));
  if (opened?.kind === "tree" && opened.input.root === outputRoot) {
    faults.push({ where: outputWhere, expected: "a folder other than the input folder", found: outputRoot });
  }
  if (faults.length > 0) throw new InvalidInputError("run", faults);
  if (!command || !own || !opened || outputRoot === undefined) throw new TypeError("expected a checked request");
  tellIdleOptions(io, flags, { opened, isNew: earlier === undefined, leastSandbox: config.allow.sandbox });
  return { command, own, opened, outputRoot, outputWhere, checks };
}

function checkCommands(faults: Fault[], request: RunRequest, { input, output }: Config): CheckCommands {
  const outputWhere = request.flags.check === undefined ? "output.check" : "--check";
  return {
    input: gather(faults, () => checkCommand(input.check, "input.check", request)) ?? {},
    output: gather(faults, () => checkCommand(output.check, outputWhere, request)) ?? {},
  };
}

/** Whether the run takes its files through a model. */
function isOfModel({ flags, childCommand, earlier }: RunRequest): boolean {
  return flags.model !== undefined || (childCommand === undefined && earlier?.executor === "infer");
}

function checkedCommand(request: RunRequest, config: Config): readonly string[] {
  const { childCommand, flags, earlier, io } = request;
  if (isOfModel(request))
    return [flags.model === undefined ? (earlier?.command[0] ?? "") : modelFolder(flags.model, io)];
  const command = childCommand ?? commandOf(config) ?? earlier?.command;
  const where = commandPlace(childCommand, flags);
  if (command?.[0] === undefined) throw missing(where, "a command to run, such as -- sha256sum {input}");
  const faults: Fault[] = [];
  gather(faults, () => {
    checkTemplates(command, config.output.name);
  });
  const found = gather(faults, () => withBinary(command, where, request));
  if (found === undefined || faults.length > 0) throw new InvalidInputError("command", faults);
  return found;
}

/** Two ways to name a folder are one model. */
function modelFolder(model: string, io: Io): string {
  const path = resolveFrom(io.cwd, model);
  try {
    return realPathOf(path);
  } catch {
    return path; // What is wrong with it is told when it is read.
  }
}

function withBinary([name = "", ...rest]: readonly string[], where: string, { io }: RunRequest): string[] {
  return [resolveBinary(name, { where, cwd: io.cwd, path: io.env["PATH"] }), ...rest];
}

function checkCommand(check: readonly string[] | undefined, where: string, request: RunRequest): { check?: string[] } {
  return check === undefined ? {} : { check: withBinary(check, where, request) };
}

function outputRootOf(output: string | undefined, { flags, io }: RunRequest): string {
  if (output === undefined) throw missing(placeOf("output", flags), "a folder for the outputs");
  const path = resolveFrom(io.cwd, output);
  try {
    return realPathOf(path);
  } catch {
    return path; // what is wrong with it is told when the folder is made
  }
}

/** What only the command line can say, in the specification's own terms. */
interface OwnRules {
  readonly resources: { memoryBytes?: number; cpuCores?: number; labels?: string[] };
  readonly priority?: number;
  readonly sandbox?: SandboxLevel;
  readonly network?: boolean;
  readonly env: Record<string, string>;
  readonly envAllow: readonly string[];
  readonly answer?: AskedAnswer | undefined;
}

function ownRules({ flags, io }: RunRequest): OwnRules {
  const faults: Fault[] = [];
  const quantity = (text: string | undefined, where: string, rule: QuantityRule): number | undefined => {
    if (text === undefined) return undefined;
    const value = rule.parse(text);
    if (value !== undefined && Number.isFinite(value) && value >= rule.min) return value;
    faults.push({ where, expected: rule.expected, found: JSON.stringify(text) });
    return undefined;
  };
  const memoryBytes = quantity(flags.memory, "--memory", memoryRule);
  const cpuCores = quantity(flags.cpus, "--cpus", cpuRule);
  const priority = quantity(flags.priority, "--priority", priorityRule);
  const { env, envAllow } = readVariables(flags.env ?? [], faults);
  const answer = gather(faults, () => askedAnswerOf(flags, io));
  if (faults.length > 0) throw new InvalidInputError("command line", faults);
  return {
    resources: {
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
      ...(cpuCores === undefined ? {} : { cpuCores }),
      ...(flags.label === undefined ? {} : { labels: [...flags.label] }),
    },
    ...(priority === undefined ? {} : { priority }),
    ...(flags.sandbox !== undefined && { sandbox: flags.sandbox }),
    ...(flags.network !== undefined && { network: flags.network }),
    env,
    envAllow,
    answer,
  };
}

interface QuantityRule {
  readonly parse: (text: string) => number | undefined;
  readonly min: number;
  readonly expected: string;
}
const memoryRule: QuantityRule = {
  parse: (text) => (/^\d+$/.test(text) ? Number(text) : parseSizeBytes(text)),
  min: 1,
  expected: 'a number of bytes or a size such as "512MiB"',
};
const cpuRule: QuantityRule = { parse: decimal, min: 0.001, expected: "a number of CPUs above 0, such as 0.5" };
const priorityRule: QuantityRule = {
  parse: (text) => (/^\d{1,7}$/.test(text) && Number(text) <= 2_000_000 ? Number(text) : undefined),
  min: 0,
  expected: "a whole number from 0 to 2000000",
};

function decimal(text: string): number | undefined {
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined;
}

function readVariables(entries: readonly string[], faults: Fault[]): Pick<OwnRules, "env" | "envAllow"> {
  const env: Record<string, string> = {};
  const envAllow: string[] = [];
  for (const entry of entries) {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)(?:=([\s\S]*))?$/.exec(entry) ?? [];
    if (name === undefined)
      faults.push({ where: "--env", expected: "NAME or NAME=VALUE", found: JSON.stringify(entry) });
    else if (value === undefined) envAllow.push(name);
    else env[name] = value;
  }
  return { env, envAllow };
}

function withOwnRules(spec: RunSpecInput, own: OwnRules): RunSpecInput {
  return {
    ...spec,
    resources: { ...spec.resources, ...own.resources },
    env: { ...spec.env, ...own.env },
    envAllow: [...(spec.envAllow ?? []), ...own.envAllow],
    ...(own.priority === undefined ? {} : { priority: own.priority }),
    ...(own.sandbox !== undefined && { sandbox: own.sandbox }),
    ...(own.network !== undefined && { network: own.network }),
    ...(own.answer !== undefined && { answer: own.answer }),
  };
}
